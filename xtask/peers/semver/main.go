// Says which versions satisfy which constraints, as Masterminds/semver has it: `semver DIRECTORY` writes constraints.txt there.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

const module = "github.com/Masterminds/semver/v3"

// What comes first in the file: how it was made, and how it is read.
const head = "# Made by `cargo xtask golden` with " + module + " v3.5.0: all versions and constraints of its own tests, and more.\n" +
	"# `order` has the versions from the highest down, `=` between those that compare as equal. A constraint is `error`, or has a\n" +
	"# mark for each version in the order of `versions`, `#` when it satisfies the constraint, then the same with prereleases included.\n"

// As tags have them: `_` stands for `+`.
var versions = strings.Fields(`
	0.0.0 0.0.1 0.0.2 0.0.3 0.1.0 0.1.4 0.2.0 0.2.3 0.2.4 0.3.0 0.9.9 1.0.0 1.0.1 1.1.0 1.2.0 1.2.1 1.2.2 1.2.3 1.2.4 1.3.0
	1.9.0 1.10.0 1.11.0 2.0.0 2.0.1 2.3.4 2.3.5 2.4.0 3.0.0 3.9.9 4.0.0 10.0.0 11.0.0 11.1.0 99.99.99 v1.2.3 v2.0.0
	0.0.0-0 0.0.0-alpha 0.0.1-rc.1 0.2.3-beta 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2
	1.0.0-beta.11 1.0.0-rc.1 1.0.0-1 1.0.0-2 1.0.0-10 1.0.0-1a 1.0.0--1 1.0.0-A 1.2.3-0 1.2.3-alpha.1 1.2.3-alpha.2
	1.2.3-alpha.10 1.2.3-alpha-a.b-c 1.2.4-rc.1 1.3.0-rc.1 2.0.0-0 2.0.0-alpha 2.0.0-rc.1 2.0.1-rc.1 3.0.0-rc.1
	1.2.3_build 1.2.3_build.2 1.2.3_001 1.2.3-rc.1_build v1.2.3_build 2.0.0_a 1.2 1 v1 v1.2 2-rc.1 2.1-rc.1
	18446744073709551615.0.0 1.0.0-18446744073709551615 1.0.0-99999999999999999999
`)

var constraints = []string{
	// Every operator at every precision.
	"0", "0.0", "0.0.0", "1", "1.2", "1.2.3", "v1", "v1.2", "v1.2.3", "=1", "=1.2", "=1.2.3", "= v1.2.3", "!=1", "!=1.2", "!=1.2.3",
	"!=0", "!=0.0", "!=0.0.0", ">0", ">0.0", ">0.0.0", ">1", ">1.2", ">1.2.3", "<0", "<0.1", "<1", "<1.2", "<1.2.3", ">=0", ">=1",
	">=1.2", ">=1.2.3", "=>1.2.3", "<=0", "<=0.0", "<=0.0.0", "<=1", "<=1.2", "<=1.2.3", "=<1.2.3", "~0", "~0.0", "~0.0.0", "~0.0.1",
	"~0.2", "~0.2.3", "~1", "~1.2", "~1.2.3", "~>1", "~>1.2", "~>1.2.3", "^0", "^0.0", "^0.0.0", "^0.0.3", "^0.2", "^0.2.3", "^1",
	"^1.2", "^1.2.3",
	// Wildcards, and what follows them.
	"*", "x", "X", "v*", "*.*", "*.*.*", "x.x.x", "1.x", "1.X", "1.*", "1.x.x", "1.2.x", "1.2.*", "1.x.7", "x.5.7", "x.5", "*.1.x",
	"=*", "!=*", ">*", "<*", ">=*", "<=*", "~*", "~>*", "^*", "^x", "!=1.x", "!=1.2.x", ">1.x", ">1.2.x", "<1.x", "<1.2.x", ">=1.x",
	">=1.2.x", "<=1.x", "<=1.2.x", "~1.x", "~1.2.x", "^1.x", "^1.2.x", "^0.x", "^0.0.x", "~0.x", "~0.0.x", "0.x", "0.0.x",
	"x.99999999999999999999", "1.x.99999999999999999999",
	// Prereleases and build metadata.
	"1.0.0-alpha", "=1.0.0-alpha", "!=1.0.0-alpha", "!=1.0-alpha", "!=1-alpha", ">1.0.0-alpha", "<1.0.0-beta.2", ">=1.0.0-1",
	"<=1.0.0-rc.1", "<=1.0-rc.1", "<=1-rc.1", "~1.0.0-alpha", "~1.0-alpha", "~1-alpha", "~0.0.0-0", "^1.0.0-beta", "^1.0-beta",
	"^1-beta", "^0.0.0-alpha", "^0.2.3-beta", "^0-0", "^0.0-0", "*-0", "x-alpha", ">*-0", "<*-z", "<=*-z", "!=*-0", "~*-0", "1.x-0",
	"1.2.x-0", "=2-0", "=2.0-0", ">=0-0", "<2.0.0-0", "<2-0", ">1.2.3-alpha.1, <2", ">1.2.3-alpha.1 || <1.0.0", "1.2.3-alpha-a.b-c",
	"1.0.0--1", ">=1.0.0--1", "1.2.3+build", "=1.2.3+other", "!=1.2.3+build", ">=1.2.3+a.b-c.001", "^1.2+meta", "*+meta", "1.2.3-rc.1+b",
	"1.2.3-01", "1.2.3-a.01", "1.2.3-01a", "1.2.3-0", "1.2.3-a..b", "1.2.3-a.", "1.2.3-.a", "1.2.3-", "1-", "1.2.3+", "1.2.3+a..b",
	"1.2.3+a.", "1.2.3+01", "1.2.3+a+b", "1.2.3_build", ">1.0.0-18446744073709551615",
	"<1.0.0-1a", ">=1.0.0-1a", "<1.0.0-9999999999999999999a",
	// Conjunctions and alternatives.
	">1,<2", ">1 <2", ">1 , <2", ">1,  <2", ">1  ,<2", ">1\t<2", ">1\n<2", ">1\f<2", ">1\v<2", ">1\u00a0<2", " >1 ", "> 1", ">\t1",
	"^1 ^1.2", "1 2", "1.2 || 2", "1||2", "1|| 2", "1 ||2", "=1 || =2 || =3", ">=1 <2, !=1.2.3 || ~2.3 || ^0.2.3", ">2 <1",
	"1 || 1.0.0-alpha", ">=1.0.0-0 || *",
	// Ranges.
	"1 - 2", "1.2 - 2.3.4", "1.2.3 - 2.3.4", "1.2.3 - 2.3", "1.2.3 - 2", "v1 - v2", "1  -  2", "1\t-\n2", " 1 - 2 ", "x - 2", "1 - x",
	"1.x - 2.x", "1.0.0-alpha - 2", "1 - 2.0.0-rc.1", "1-a - 2-b", "1+a - 2+b", "1 - 2, !=1.2.3", "1 - 2 !=1.2.3", "!=1.2.3, 1 - 2",
	"1 - 2 || 3 - 4", "1 - 2, 2 - 3", "1 - 2 2 - 3", "2 - 1", "1 - 2||4",
	"!=1.2.3 1 - 2", "<2 1.0 - 3", "<2, 1.0 - 3", "1||2 - 3", "1 ||2 - 3", "1 || 2 - 3", "1 - 2>1.5", "1 - 2v1", "1 - 2!=1.2.3",
	"1 -2", "1- 2", "1-2", "1 - 2 - 3", "- 1", "1 -", "1 - ", " - 2", ">1 - 2", "^1 - 2", "1 - >2", "1 - 2.3.4.5", "1.2.3.4 - 5", "1 -- 2",
	// What is no constraint.
	"", " ", "\t\n", ",", "||", "|", "v", ".", "-", "+", ">", "=", "!", "!1", "==1", "===1", "<>1", "><1", ">>1", "~~1", "^^1", "~^1",
	"~ >1", "= >1", "> =1", "~=1", "!=", "1,", ",1", "1,,2", "1, ,2", "1 ,", "||1", "1||", "1||||2", "1 || || 2", "1, || 2", "1 | 2",
	"1|2", "1 & 2", "1 && 2", "1;2", "1.", "1..2", ".1", "1.2.", "1.2.3.", "1.2.3.4", "1.2.3.x", "1x", "x1", "**", "xx", "1.2x", "1.*1",
	"1.2.3x", "x.1|2", "x.xx", "x.1x", "1.x.3x", "1.x.*|", "*.|.|", "x|", "|x", "V1", "vv1", "v 1", "1 .2", "1. 2", "1.2 .3", ">1<2",
	"1>2", "1~2", "1^2", "1=2", "-1", ">-1", "+1", "1e3", "0x1", "latest", "1.2.3 latest", "a", "1.a", "1.2.a", "1,a", "(1)", "\"1\"",
	"'1'", "1\\", "1/2", "1:2", "1@2", "é", "1é", "1 é", "１", "01", "01.02.03", "007", "^01.2", "00", "1.00.0",
	"18446744073709551615", "18446744073709551616", "99999999999999999999", "1.18446744073709551616", "1.2.18446744073709551616",
	">18446744073709551614", "^18446744073709551615", "~18446744073709551615.x",
	// Longer than either program, or one of the two, takes.
	strings.Repeat(" ", 511) + "1", strings.Repeat(" ", 512) + "1", strings.Repeat(" ", 1023) + "1", strings.Repeat(" ", 1024) + "1",
	"1" + strings.Repeat("||1", 31), "1" + strings.Repeat("||1", 32), "1" + strings.Repeat("||1", 63), "1" + strings.Repeat("||1", 64),
	"1" + strings.Repeat(",1", 63), "1" + strings.Repeat(",1", 64), ">1.0.0-" + strings.Repeat("a", 250), ">1.0.0-" + strings.Repeat("a", 251),
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: semver DIRECTORY")
		os.Exit(2)
	}
	tested := tests()
	var text strings.Builder
	text.WriteString(head)
	all := unique(slices.Concat(tested.versions, versions))
	fmt.Fprintf(&text, "versions %s\norder %s\n", strings.Join(all, " "), order(all))
	for _, constraint := range unique(slices.Concat(tested.constraints, constraints)) {
		fmt.Fprintf(&text, "%s %s\n", quoted(constraint), row(constraint, all))
	}
	if err := os.WriteFile(filepath.Join(os.Args[1], "constraints.txt"), []byte(text.String()), 0o644); err != nil {
		panic(err)
	}
}

// The marks of a constraint.
func row(text string, versions []string) string {
	constraint, err := semver.NewConstraint(text)
	if err != nil {
		return "error"
	}
	marks := func(prereleases bool) string {
		constraint.IncludePrerelease = prereleases
		var marks strings.Builder
		for _, version := range versions {
			marks.WriteByte(map[bool]byte{true: '#', false: '.'}[constraint.Check(parsed(version))])
		}
		return marks.String()
	}
	return marks(false) + " " + marks(true)
}

func order(versions []string) string {
	sorted := slices.Clone(versions)
	compare := func(a, b string) int { return parsed(b).Compare(parsed(a)) }
	slices.SortStableFunc(sorted, compare)
	text := sorted[0]
	for i, version := range sorted[1:] {
		text += map[bool]string{true: "=", false: " "}[compare(sorted[i], version) == 0] + version
	}
	return text
}

func parsed(tag string) *semver.Version {
	return semver.MustParse(strings.Replace(tag, "_", "+", 1))
}

type tables struct {
	versions, constraints []string
}

// What the tables in the module's own constraints_test.go hold: rows begin with a constraint, and a version may follow it.
func tests() tables {
	directory, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		panic(err)
	}
	path := filepath.Join(strings.TrimSpace(string(directory)), "constraints_test.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		panic(err)
	}
	var found tables
	ast.Inspect(file, func(node ast.Node) bool {
		row, isRow := node.(*ast.CompositeLit)
		if !isRow || len(row.Elts) < 2 {
			return true
		}
		if constraint, isText := literal(row.Elts[0]); isText {
			found.constraints = append(found.constraints, constraint)
		}
		second, _ := literal(row.Elts[1])
		if version, err := semver.NewVersion(second); err == nil && version.Metadata() == "" {
			found.versions = append(found.versions, second)
		}
		return true
	})
	if len(found.constraints) < 500 || len(found.versions) < 500 {
		panic("the tables of " + path + " have another shape")
	}
	return found
}

func literal(node ast.Expr) (string, bool) {
	text, isLiteral := node.(*ast.BasicLit)
	if !isLiteral || text.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(text.Value)
	return value, err == nil
}

// The first of each, in their order.
func unique(texts []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(texts, func(text string) bool {
		again := seen[text]
		seen[text] = true
		return again
	})
}

// A JSON string.
func quoted(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err)
	}
	return strings.TrimSpace(out.String())
}
