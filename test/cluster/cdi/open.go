package cdi

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	dockerScheme = "docker://"
	diskFolder   = "disk/"
)

// importer opens what an import reads, with the Secrets and ConfigMaps of its namespace.
type importer struct {
	reader    client.Reader
	namespace string
}

// importOf is how a job reads an import source: its name in messages, its checksum and how to open it.
func (s importer) importOf(from *cdiv1.ImportSourceType) (origin, checksum string, open opener) {
	switch {
	case from.HTTP != nil:
		return "http", from.HTTP.Checksum, func(ctx context.Context) (*stream, error) { return s.openHTTP(ctx, from.HTTP) }
	case from.Registry != nil:
		return "registry", "", func(ctx context.Context) (*stream, error) { return s.openRegistry(ctx, from.Registry) }
	case from.S3 != nil:
		return "s3", "", s.plain(from.S3.URL, from.S3.SecretRef, from.S3.CertConfigMap)
	case from.GCS != nil:
		return "gcs", "", s.plain(from.GCS.URL, from.GCS.SecretRef, "")
	case from.Imageio != nil:
		return "imageio", "", s.plain(from.Imageio.URL, from.Imageio.SecretRef, from.Imageio.CertConfigMap)
	case from.VDDK != nil:
		return "vddk", "", s.plain(from.VDDK.URL, from.VDDK.SecretRef, "")
	default:
		return "none", "", func(context.Context) (*stream, error) {
			return &stream{ReadCloser: io.NopCloser(strings.NewReader("")), empty: true}, nil
		}
	}
}

// plain reaches a source that has a protocol of its own by a simple GET: enough for an object that
// everybody may read, and for the error when nobody answers.
func (s importer) plain(url, secret, certs string) opener {
	return func(ctx context.Context) (*stream, error) {
		return s.openHTTP(ctx, &cdiv1.DataVolumeSourceHTTP{URL: url, SecretRef: secret, CertConfigMap: certs})
	}
}

func (s importer) openHTTP(ctx context.Context, from *cdiv1.DataVolumeSourceHTTP) (*stream, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.URL, nil)
	if err != nil {
		return nil, err
	}
	if err := s.decorate(ctx, request, from); err != nil {
		return nil, err
	}
	transport, err := s.transport(ctx, from.CertConfigMap, from.InsecureSkipVerify != nil && *from.InsecureSkipVerify)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		err := fmt.Errorf("expected status code 200, got %d. Status: %s", response.StatusCode, response.Status)
		return nil, errors.Join(err, response.Body.Close())
	}
	return &stream{ReadCloser: body{response.Body, transport}, total: response.ContentLength}, nil
}

// body closes the connection with the response, as every import has a transport of its own.
type body struct {
	io.ReadCloser
	transport *http.Transport
}

func (b body) Close() error {
	err := b.ReadCloser.Close()
	b.transport.CloseIdleConnections()
	return err
}

// decorate adds the credentials and headers of a request.
func (s importer) decorate(ctx context.Context, request *http.Request, from *cdiv1.DataVolumeSourceHTTP) error {
	if from.SecretRef != "" {
		secret, err := s.secret(ctx, from.SecretRef)
		if err != nil {
			return err
		}
		request.SetBasicAuth(string(secret.Data["accessKeyId"]), string(secret.Data["secretKey"]))
	}
	headers := from.ExtraHeaders
	for _, name := range from.SecretExtraHeaders {
		secret, err := s.secret(ctx, name)
		if err != nil {
			return err
		}
		for _, value := range secret.Data {
			headers = append(headers, string(value))
		}
	}
	for _, header := range headers {
		field, value, _ := strings.Cut(header, ":")
		request.Header.Set(strings.TrimSpace(field), strings.TrimSpace(value))
	}
	return nil
}

func (s importer) secret(ctx context.Context, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := s.reader.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, secret); err != nil {
		return nil, notReadyError{fmt.Errorf("waiting for the importer's secret: %w", err)}
	}
	return secret, nil
}

// transport trusts the certificates of a ConfigMap beside those of the system.
func (s importer) transport(ctx context.Context, certs string, insecure bool) (*http.Transport, error) {
	config := &tls.Config{InsecureSkipVerify: insecure} //nolint:gosec // the DataVolume asks for it
	if certs != "" {
		bundle := &corev1.ConfigMap{}
		if err := s.reader.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: certs}, bundle); err != nil {
			return nil, notReadyError{fmt.Errorf("waiting for the importer's certificates: %w", err)}
		}
		config.RootCAs = x509.NewCertPool()
		for _, pem := range bundle.Data {
			config.RootCAs.AppendCertsFromPEM([]byte(pem))
		}
	}
	return &http.Transport{TLSClientConfig: config}, nil
}

// openRegistry finds the first file under /disk in the layers, from the lowest. Its layer is not read to
// the end, so, as in CDI, nothing compares the layer with its digest.
func (s importer) openRegistry(ctx context.Context, from *cdiv1.DataVolumeSourceRegistry) (*stream, error) {
	img, err := s.image(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("Failed to read registry image: %w", err) //nolint:staticcheck // CDI's words
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("Failed to read registry image: %w", err) //nolint:staticcheck // CDI's words
	}
	for _, layer := range layers {
		if in := openLayer(layer); in != nil {
			return in, nil
		}
	}
	return nil, errors.New("Failed to read registry image: Failed to find VM disk image file in the container image") //nolint:staticcheck // CDI's words
}

// openLayer is nil for a layer that has no disk or cannot be read; CDI goes on to the next as well.
func openLayer(layer v1.Layer) *stream {
	data, err := layer.Uncompressed()
	if err != nil {
		return nil
	}
	archive := tar.NewReader(data)
	for {
		header, err := archive.Next()
		if err != nil {
			_ = data.Close() // nothing was found, and nothing is lost
			return nil
		}
		if header.Typeflag == tar.TypeReg && strings.HasPrefix(strings.TrimPrefix(header.Name, "./"), diskFolder) {
			// CDI reports no progress of a registry import, so the total stays unknown.
			return &stream{ReadCloser: readCloser{archive, data}, total: -1}
		}
	}
}

type readCloser struct {
	io.Reader
	io.Closer
}

func (s importer) image(ctx context.Context, from *cdiv1.DataVolumeSourceRegistry) (v1.Image, error) {
	reference, err := parseReference(from)
	if err != nil {
		return nil, err
	}
	options, err := s.remoteOptions(ctx, from)
	if err != nil {
		return nil, err
	}
	return remote.Image(reference, options...)
}

func parseReference(from *cdiv1.DataVolumeSourceRegistry) (name.Reference, error) {
	if from.URL == nil {
		return nil, errors.New("no registry URL: image streams exist only on OpenShift")
	}
	plain, ok := strings.CutPrefix(*from.URL, dockerScheme)
	if !ok {
		return nil, fmt.Errorf("Invalid image name %q, unknown transport", *from.URL) //nolint:staticcheck // CDI's words
	}
	return name.ParseReference(plain)
}

func (s importer) remoteOptions(ctx context.Context, from *cdiv1.DataVolumeSourceRegistry) ([]remote.Option, error) {
	transport, err := s.transport(ctx, deref(from.CertConfigMap, ""), false)
	if err != nil {
		return nil, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(transport)}
	if from.Platform != nil && from.Platform.Architecture != "" {
		options = append(options, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: from.Platform.Architecture}))
	}
	if from.SecretRef == nil || *from.SecretRef == "" {
		return options, nil
	}
	secret, err := s.secret(ctx, *from.SecretRef)
	if err != nil {
		return nil, err
	}
	basic := &authn.Basic{Username: string(secret.Data["accessKeyId"]), Password: string(secret.Data["secretKey"])}
	return append(options, remote.WithAuth(basic)), nil
}

// digestOf asks a registry what a reference points at now.
func (s importer) digestOf(ctx context.Context, from *cdiv1.DataVolumeSourceRegistry) (string, error) {
	reference, err := parseReference(from)
	if err != nil {
		return "", err
	}
	options, err := s.remoteOptions(ctx, from)
	if err != nil {
		return "", err
	}
	descriptor, err := remote.Head(reference, options...)
	if err != nil {
		return "", err
	}
	return descriptor.Digest.String(), nil
}

// openFile reads another volume, for a copy.
func openFile(path string) opener {
	return func(context.Context) (*stream, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		info, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return &stream{ReadCloser: file, total: cmp.Or(info.Size(), -1)}, nil
	}
}
