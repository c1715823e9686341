module semver-peer

go 1.25.7

require github.com/Masterminds/semver/v3 v3.5.0
