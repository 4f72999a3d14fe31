package block

import (
	"strings"

	"github.com/zeebo/blake3"
)

// pseudoRandom returns n bytes that look random and are the same in every run and every implementation: the BLAKE3 XOF of seed.
func pseudoRandom(seed string, n int) []byte {
	h := blake3.New()
	h.WriteString(seed)
	out := make([]byte, n)
	h.Digest().Read(out)
	return out
}

var words = strings.Fields("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time these two may then do first any my now such like our over man me even most made after also did many before must through")

// pseudoText returns n bytes of lines of words, chosen by pseudoRandom.
func pseudoText(seed string, n int) []byte {
	choice := pseudoRandom(seed, n)
	out := make([]byte, 0, n+16)
	for i := 0; len(out) < n; i++ {
		out = append(out, words[int(choice[i])%len(words)]...)
		if choice[i] >= 240 {
			out = append(out, '\n')
		} else {
			out = append(out, ' ')
		}
	}
	return out[:n]
}
