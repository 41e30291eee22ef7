package csidriver

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// writeDisk makes a sparse file of the given size that begins with the bytes of the source, if there is one.
func writeDisk(path, sourcePath string, size int64) (err error) {
	disk, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	if sourcePath != "" {
		if err := copyFile(disk, sourcePath); err != nil {
			return fmt.Errorf("copying %q: %w", sourcePath, err)
		}
	}
	return disk.Truncate(size)
}

// copyFile shares the blocks where the file system can, and otherwise copies the data and keeps the holes.
func copyFile(disk *os.File, sourcePath string) (err error) {
	source, err := os.Open(sourcePath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if unix.IoctlFileClone(int(disk.Fd()), int(source.Fd())) == nil {
		return nil
	}
	return copySparse(disk, source)
}

func copySparse(disk, source *os.File) error {
	for offset := int64(0); ; {
		start, err := unix.Seek(int(source.Fd()), offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(source.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := copyRange(disk, source, start, end); err != nil {
			return err
		}
		offset = end
	}
}

// copyRange leaves the copy to the kernel: os.File uses copy_file_range.
func copyRange(disk, source *os.File, start, end int64) error {
	for _, file := range []*os.File{disk, source} {
		if _, err := file.Seek(start, io.SeekStart); err != nil {
			return err
		}
	}
	_, err := io.CopyN(disk, source, end-start)
	return err
}
