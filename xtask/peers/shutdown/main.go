// Takes the power from the ext4 that a directory is on: what has not reached the disk is lost, the journal included.
// `shutdown DIRECTORY`.
package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// EXT4_IOC_SHUTDOWN, and EXT4_GOING_FLAGS_NOLOGFLUSH.
const (
	request    = 0x8004587D
	noLogFlush = 2
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: shutdown DIRECTORY")
		os.Exit(2)
	}
	directory, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flags := uint32(noLogFlush)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, directory.Fd(), request, uintptr(unsafe.Pointer(&flags)))
	if errno != 0 {
		fmt.Fprintln(os.Stderr, errno)
		os.Exit(1)
	}
}
