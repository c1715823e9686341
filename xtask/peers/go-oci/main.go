// Command go-oci pushes and pulls a directory with the library github.com/jmgilman/go/oci.
//
//	go-oci push DIRECTORY REFERENCE
//	go-oci pull REFERENCE DIRECTORY
package main

import (
	"context"
	"fmt"
	"os"

	oci "github.com/jmgilman/go/oci"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	if len(words) != 3 {
		return fmt.Errorf("usage: go-oci push DIRECTORY REFERENCE | pull REFERENCE DIRECTORY")
	}
	client, err := oci.NewWithOptions(oci.WithAllowHTTP())
	if err != nil {
		return err
	}
	switch words[0] {
	case "push":
		return client.Push(context.Background(), words[1], words[2])
	case "pull":
		const unlimited = 1 << 40
		return client.Pull(context.Background(), words[1], words[2],
			oci.WithPullMaxFiles(1<<30), oci.WithPullMaxSize(unlimited), oci.WithPullMaxFileSize(unlimited),
			oci.WithPullAllowHiddenFiles(true))
	default:
		return fmt.Errorf("unknown verb %q", words[0])
	}
}
