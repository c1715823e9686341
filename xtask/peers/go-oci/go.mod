module peers/go-oci

go 1.25.7

replace github.com/jmgilman/go/fs/billy => github.com/jmgilman/go/fs/billy v0.1.1

require github.com/jmgilman/go/oci v0.1.0

require (
	github.com/cyphar/filepath-securejoin v0.4.1 // indirect
	github.com/go-git/go-billy/v5 v5.6.2 // indirect
	github.com/jmgilman/go/fs/billy v0.0.0-00010101000000-000000000000 // indirect
	github.com/jmgilman/go/fs/core v0.2.0 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	golang.org/x/sync v0.16.0 // indirect
	golang.org/x/sys v0.36.0 // indirect
	oras.land/oras-go/v2 v2.6.0 // indirect
)
