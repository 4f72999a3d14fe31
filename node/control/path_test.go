package control

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestPathsTravelAsJSONText(t *testing.T) {
	for _, row := range []struct {
		name string
		path Path
		json string
	}{
		{"plain", "a/b.txt", `"a/b.txt"`},
		{"UTF-8", "é/日本/😀", `"é/日本/😀"`},
		{"a byte that is no UTF-8", "a\xffb", `"a\udcffb"`},
		{"only such bytes", "\x80\xfe", `"\udc80\udcfe"`},
		{"quotes and backslashes beside one", "\"\\\xff\\", `"\"\\\udcff\\"`},
		{"a surrogate in UTF-8 form is three bytes", "\xed\xb2\x80", `"\udced\udcb2\udc80"`},
		{"U+FFFD itself", "\uFFFD\xff", `"` + "\uFFFD" + `\udcff"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := json.Marshal(row.path)
			if err != nil || string(got) != row.json {
				t.Errorf("written as %s (%v), want %s", got, err, row.json)
			}
			var back Path
			if err := json.Unmarshal([]byte(row.json), &back); err != nil || back != row.path {
				t.Errorf("read as %q (%v), want %q", back, err, row.path)
			}
		})
	}
}

func TestPathsAreReadInOtherSpellingsToo(t *testing.T) {
	for text, want := range map[string]Path{
		`"\uDCFF"`:                   "\xff",      // digits of either case
		`"\ud83d\ude00"`:             "😀",         // a pair is a character
		`"\ud83d\udc80"`:             "💀",         // even when its second half looks like a byte
		`"\ud83d\ude00\udc80"`:       "😀\x80",     // and a byte may follow one
		`"\\udcff"`:                  `\udcff`,    // a backslash is a backslash
		`"\ufffd"`:                   "\uFFFD",    // written out, the replacement character is one
		`"\u0061\udc80\u0062"`:       "a\x80b",    // escapes on both sides
		`"\udc80\udc80\ud83d\ude00"`: "\x80\x80😀", // bytes before a pair
	} {
		var got Path
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is read as %q (%v), want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`"\ud800"`, `"\udc7f"`, `"\udfff"`, "\"\xff\"", `5`, `["a"]`} {
		var got Path
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is read as %q, want an error", text, got)
		}
	}
}

func TestAnyBytesGoThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Path(rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("\\\"u\xed\xa0\xb0\xf0")))).Draw(t, "bytes"))
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(raw) {
			t.Fatalf("%q is no UTF-8", raw)
		}
		var back Path
		if err := json.Unmarshal(raw, &back); err != nil || back != p {
			t.Fatalf("%q came back as %q (%v) through %s", p, back, err, raw)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{`"a"`, `"\udcff"`, `"\ud83d\udc80"`, `"\\udcff"`, `"\ud800"`, `null`, "\"\xff\"", `"\u`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p Path
		if json.Unmarshal(raw, &p) != nil {
			return
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Path
		if err := json.Unmarshal(again, &back); err != nil || back != p {
			t.Fatalf("%q came back as %q (%v)", p, back, err)
		}
	})
}
