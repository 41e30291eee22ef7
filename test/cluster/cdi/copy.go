package cdi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"  //nolint:gosec // CDI offers it
	"crypto/sha1" //nolint:gosec // CDI offers it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/lima-vm/go-qcow2reader"
	"github.com/lima-vm/go-qcow2reader/convert"
	"github.com/lima-vm/go-qcow2reader/image"
)

const (
	block = 64 << 10
	// stallLook is how often a stalled transfer looks whether it may go on.
	stallLook = 50 * time.Millisecond
)

// stream is an open source. Total is -1 where the source does not say how long it is.
type stream struct {
	io.ReadCloser
	total int64
	// empty is a source of nothing but zeros.
	empty bool
}

type opener func(ctx context.Context) (*stream, error)

// copy fills the volume from the stream, in whatever format it is.
func (t *transfer) copy(ctx context.Context, in *stream) error {
	volume, err := os.OpenFile(t.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = t.fill(ctx, volume, in)
	return errors.Join(err, volume.Close())
}

func (t *transfer) fill(ctx context.Context, volume *os.File, in *stream) error {
	// A new attempt begins with an empty volume: nothing of a broken one may stay behind.
	if err := errors.Join(volume.Truncate(0), volume.Truncate(t.size)); err != nil {
		return err
	}
	if in.empty {
		return t.misbehave(ctx, 1, 1)
	}
	digest, err := newDigest(t.checksum)
	if err != nil {
		return fatalError{err}
	}
	source := bufio.NewReaderSize(io.TeeReader(&metered{ctx: ctx, transfer: t, stream: in}, digest), block)
	if err := t.decode(volume, source, in.total); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, source); err != nil { // what follows the image counts for its checksum
		return err
	}
	if err := digest.check(); err != nil {
		return fatalError{err}
	}
	if t.fault().Corrupt {
		return flipByte(volume)
	}
	return nil
}

// decode writes the image that the source holds: raw or qcow2, and either of them under gzip.
func (t *transfer) decode(volume *os.File, source *bufio.Reader, total int64) error {
	magic, err := source.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		unzipped, err := gzip.NewReader(source)
		if err != nil {
			return err
		}
		return t.decode(volume, bufio.NewReaderSize(unzipped, block), -1)
	case bytes.Equal(magic, []byte("QFI\xfb")):
		return t.convert(volume, source)
	}
	if total > t.limit {
		return tooLarge(total, t.limit)
	}
	return t.writeRaw(volume, source)
}

func tooLarge(size, limit int64) error {
	return fmt.Errorf("virtual image size %d is larger than the reported available storage %d. A larger PVC is required", size, limit)
}

// writeRaw keeps runs of zeros as holes.
func (t *transfer) writeRaw(volume *os.File, source io.Reader) error {
	buffer := make([]byte, block)
	zeros := make([]byte, block)
	for offset := int64(0); ; {
		n, err := io.ReadFull(source, buffer)
		if offset+int64(n) > t.limit {
			return tooLarge(offset+int64(n), t.limit)
		}
		if n > 0 && !bytes.Equal(buffer[:n], zeros[:n]) {
			if _, err := volume.WriteAt(buffer[:n], offset); err != nil {
				return err
			}
		}
		offset += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// convert puts a qcow2 image on scratch space first, as CDI does, because it must be read at random.
func (t *transfer) convert(volume *os.File, source io.Reader) (err error) {
	scratch, err := os.CreateTemp("", "cdi-scratch-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close(), os.Remove(scratch.Name())) }()
	if _, err := io.Copy(scratch, source); err != nil {
		return err
	}
	if err := refuseBackingFile(scratch); err != nil {
		return err
	}
	img, err := qcow2reader.OpenWithType(scratch, "qcow2")
	if err != nil {
		return fmt.Errorf("reading the qcow2 image: %w", err)
	}
	if err := img.Readable(); err != nil {
		return fmt.Errorf("reading the qcow2 image: %w", err)
	}
	return t.writeImage(volume, img)
}

func (t *transfer) writeImage(volume *os.File, img image.Image) error {
	if img.Size() > t.limit {
		return tooLarge(img.Size(), t.limit)
	}
	return convert.Convert(volume, img, convert.Options{})
}

// refuseBackingFile reads the offset of the backing file's name in the header; the importer would read a
// file of its own otherwise.
func refuseBackingFile(scratch *os.File) error {
	header := make([]byte, 16)
	if _, err := scratch.ReadAt(header, 0); err != nil {
		return fmt.Errorf("reading the qcow2 header: %w", err)
	}
	if !bytes.Equal(header[8:16], make([]byte, 8)) {
		return errors.New("qcow2 image has a backing file, which is not supported")
	}
	return nil
}

// metered reads a stream, reports the progress and does what a fault says.
type metered struct {
	ctx      context.Context //nolint:containedctx // io.Reader has no other place for it
	transfer *transfer
	stream   *stream
	done     int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.stream.Read(p)
	m.done += int64(n)
	if fault := m.transfer.misbehave(m.ctx, m.done, m.stream.total); fault != nil {
		return n, fault
	}
	if rate := m.transfer.fault().BytesPerSecond; rate > 0 && n > 0 {
		if slow := m.transfer.pause(m.ctx, time.Duration(n)*time.Second/time.Duration(rate)); slow != nil {
			return n, slow
		}
	}
	m.transfer.progress(m.done, m.stream.total)
	return n, err
}

// misbehave breaks off or stalls once half the data is through; data of unknown length at its first byte.
func (t *transfer) misbehave(ctx context.Context, done, total int64) error {
	if total > 0 && done < total/2 {
		return nil
	}
	if t.restarts() < t.fault().Restarts {
		return errors.New("unexpected EOF")
	}
	for t.fault().Stall {
		if err := t.pause(ctx, stallLook); err != nil {
			return err
		}
	}
	return nil
}

func (t *transfer) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.engine.clock.After(d):
		return nil
	}
}

// flipByte turns over the first byte of a volume.
func flipByte(volume *os.File) error {
	first := make([]byte, 1)
	if _, err := volume.ReadAt(first, 0); err != nil {
		return err
	}
	_, err := volume.WriteAt([]byte{^first[0]}, 0)
	return err
}

// digest compares what was read with a checksum of the form algorithm:hex; an empty one compares nothing.
type digest struct {
	hash.Hash
	algorithm, want string
}

func newDigest(checksum string) (*digest, error) {
	algorithm, want, _ := strings.Cut(strings.ToLower(checksum), ":")
	d := &digest{algorithm: algorithm, want: want}
	switch algorithm {
	case "md5":
		d.Hash = md5.New() //nolint:gosec // CDI offers it
	case "sha1":
		d.Hash = sha1.New() //nolint:gosec // CDI offers it
	case "", "sha256":
		d.Hash = sha256.New()
	case "sha512":
		d.Hash = sha512.New()
	default:
		return nil, fmt.Errorf("unsupported hash algorithm: %s", algorithm)
	}
	return d, nil
}

func (d *digest) check() error {
	have := hex.EncodeToString(d.Sum(nil))
	if d.want == "" || d.want == have {
		return nil
	}
	return fmt.Errorf("checksum mismatch: expected %s:%s, calculated %s:%s", d.algorithm, d.want, d.algorithm, have)
}
