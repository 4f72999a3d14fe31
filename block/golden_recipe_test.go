package block

import (
	"bytes"
	"slices"
	"testing"

	"github.com/zeebo/blake3"
)

type recipeVector struct {
	Name    string   `json:"name"`
	BlockID hexBytes `json:"block_id_key,omitempty"`
	Input   input    `json:"encoded"`
	Refs    int      `json:"refs,omitempty"`
	Size    int64    `json:"file_size,omitempty"`
	Content hexBytes `json:"content_id,omitempty"`
	Parts   []int    `json:"part_sizes,omitempty"`
	PartIDs hexBytes `json:"part_ids_blake3,omitempty"` // plain BLAKE3 of the parts' IDs, joined
	Error   string   `json:"error,omitempty"`
}

// describe fills in what follows from the refs.
func (v *recipeVector) describe(r Recipe) {
	keys := &Keys{BlockID: [32]byte(v.BlockID)}
	content := keys.ContentID(r)
	v.Refs, v.Size, v.Content = len(r), r.Size(), content[:]
	parts, refs := keys.SplitRecipe(r)
	var ids []byte
	v.Parts = nil
	for i := range parts {
		v.Parts = append(v.Parts, len(parts[i]))
		ids = append(ids, refs[i].ID[:]...)
	}
	sum := blake3.Sum256(ids)
	v.PartIDs = sum[:]
}

// goldenRecipe is the recipe that long vectors stand for: n refs from the output of BLAKE3, 36 bytes each, the size masked to
// 19 bits plus one. Its encoding is too long to be written down, so the vector names the seed.
func goldenRecipe(seed string, n int) Recipe {
	raw := pseudoRandom(seed, refSize*n)
	r := make(Recipe, n)
	for i := range r {
		b := raw[refSize*i:]
		r[i] = Ref{ID: ID(b), Size: (uint32(b[32])<<24|uint32(b[33])<<16|uint32(b[34])<<8|uint32(b[35]))&(1<<19-1) + 1}
	}
	return r
}

func TestGoldenRecipes(t *testing.T) {
	vectors := golden(t, "recipes.json", func() (out []recipeVector) {
		for name, r := range map[string]Recipe{
			"empty file": {}, "one block": goldenRecipe("golden", 1), "five blocks": goldenRecipe("golden", 5),
		} {
			v := recipeVector{Name: name, BlockID: goldenKeys.BlockID[:], Input: input{Hex: r.Encode()}}
			v.describe(r)
			out = append(out, v)
		}
		slices.SortFunc(out, func(a, b recipeVector) int { return a.Refs - b.Refs })
		long := recipeVector{Name: "long: refs made from the seed, see docs", BlockID: goldenKeys.BlockID[:], Input: input{Seed: "golden", Size: refSize * 20_000}}
		long.describe(goldenRecipe("golden", 20_000))
		out = append(out, long)
		good := goldenRecipe("golden", 2).Encode()
		bad := func(name string, encoded []byte) {
			out = append(out, recipeVector{Name: name, Input: input{Hex: encoded}, Error: "malformed"})
		}
		bad("no bytes", nil)
		bad("format 0", append([]byte{0}, good[1:]...))
		bad("format 2", append([]byte{2}, good[1:]...))
		bad("last byte missing", good[:len(good)-1])
		bad("trailing byte", append(bytes.Clone(good), 0))
		bad("block of no bytes", Recipe{{ID{1}, 0}}.Encode())
		bad("block above the limit", Recipe{{ID{1}, MaxSize + 1}}.Encode())
		bad("empty block ID", Recipe{{ID{}, 1}}.Encode())
		return out
	})
	for _, v := range vectors {
		if v.Input.Seed != "" {
			checkGoldenRecipe(t, v, goldenRecipe(v.Input.Seed, v.Input.Size/refSize))
			continue
		}
		r, err := DecodeRecipe(v.Input.Hex)
		checkGoldenError(t, v.Name, v.Error, err)
		if err == nil {
			checkGoldenRecipe(t, v, r)
		}
		if err == nil && !bytes.Equal(r.Encode(), v.Input.Hex) {
			t.Errorf("%s: encodes to something else", v.Name)
		}
	}
}

func checkGoldenRecipe(t *testing.T, v recipeVector, r Recipe) {
	t.Helper()
	got := recipeVector{BlockID: v.BlockID}
	got.describe(r)
	if got.Refs != v.Refs || got.Size != v.Size || !bytes.Equal(got.Content, v.Content) ||
		!equalInts(got.Parts, v.Parts) || !bytes.Equal(got.PartIDs, v.PartIDs) {
		t.Errorf("%s: got %+v", v.Name, got)
	}
}

type refTreeVector struct {
	Name  string   `json:"name"`
	Seed  string   `json:"seed,omitempty"`  // a tree: refs made from the seed, see docs/formats/recipe.md
	Refs  int      `json:"refs,omitempty"`  // how many
	Nodes int      `json:"nodes,omitempty"` // in the tree
	Root  hexBytes `json:"root,omitempty"`
	Node  hexBytes `json:"node,omitempty"` // or one node
	Error string   `json:"error,omitempty"`
}

func TestGoldenReferenceTrees(t *testing.T) {
	vectors := golden(t, "reftrees.json", func() (out []refTreeVector) {
		for _, n := range []int{1, 64, 65, 1024, 5000, 60_000} {
			root, nodes := RefTree(someRefs("golden", n, 3))
			out = append(out, refTreeVector{Name: "tree", Seed: "golden", Refs: n, Nodes: len(nodes), Root: root[:]})
		}
		refs := someRefs("golden", 4, 2)
		leaf := encodeLeaf(refs)
		add := func(name string, node []byte, err string) {
			out = append(out, refTreeVector{Name: name, Node: node, Error: err})
		}
		add("leaf", leaf, "")
		add("inner node", encodeInner(1, [][32]byte{{1}, {2}}), "")
		add("no bytes", nil, "malformed")
		add("no children", leaf[:2], "malformed")
		add("format 2", append([]byte{2}, leaf[1:]...), "malformed")
		add("too high", append([]byte{nodeFormat, maxHeight + 1}, make([]byte, 32)...), "malformed")
		add("last byte missing", leaf[:len(leaf)-1], "malformed")
		add("trailing byte", append(bytes.Clone(leaf), 0), "malformed")
		add("group of none", append(bytes.Clone(leaf), append(bytes.Repeat([]byte{9}, 32), 0, 0)...), "malformed")
		add("one epoch in two groups", append(encodeLeaf(refs[:1]), encodeLeaf(refs[1:2])[2:]...), "malformed")
		add("IDs not ascending", encodeLeaf([]EpochRef{refs[1], refs[0]}), "malformed")
		add("same ID twice", encodeLeaf([]EpochRef{refs[0], refs[0]}), "malformed")
		add("empty epoch", encodeLeaf([]EpochRef{{ID: ID{1}}}), "malformed")
		add("empty ID", encodeLeaf([]EpochRef{{Epoch: refs[0].Epoch}}), "malformed")
		add("half a child", append([]byte{nodeFormat, 1}, make([]byte, 16)...), "malformed")
		return out
	})
	for _, v := range vectors {
		if v.Seed != "" {
			root, nodes := RefTree(someRefs(v.Seed, v.Refs, 3))
			if !bytes.Equal(root[:], v.Root) || len(nodes) != v.Nodes {
				t.Errorf("tree of %d: root %x, %d nodes", v.Refs, root, len(nodes))
			}
			continue
		}
		node, err := DecodeRefNode(v.Node)
		checkGoldenError(t, v.Name, v.Error, err)
		if err == nil && !bytes.Equal(encodeNode(node), v.Node) {
			t.Errorf("%s: encodes to something else", v.Name)
		}
	}
}

func encodeNode(n RefNode) []byte {
	if n.Height > 0 {
		return encodeInner(n.Height, n.Children)
	}
	return encodeLeaf(n.Refs)
}
