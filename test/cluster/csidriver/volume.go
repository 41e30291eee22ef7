package csidriver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// defaultSize is the size of a volume whose request names none.
const defaultSize = 1 << 30

// CreateVolume makes an empty volume or a copy of a volume or snapshot.
func (d *driver) CreateVolume(_ context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if req.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "name must be set")
	}
	if err := checkCapabilities(req.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	id := imageID(req.GetName())
	defer d.locks.lock("volume/" + id)()

	want, sourcePath, release, err := d.wantedVolume(id, req)
	if err != nil {
		return nil, err
	}
	defer release()
	if have, ok := d.volumes.get(id); ok {
		if !compatible(have, want, req.GetCapacityRange()) {
			return nil, status.Errorf(codes.AlreadyExists, "volume %q exists with other properties", req.GetName())
		}
		return volumeResponse(have, req.GetVolumeContentSource()), nil
	}
	if err := d.makeImage(d.volumes, want, sourcePath); err != nil {
		return nil, err
	}
	d.observe("CreateVolume", req.GetName())
	return volumeResponse(want, req.GetVolumeContentSource()), nil
}

// wantedVolume is the volume a request asks for and the file it is copied from. The source stays locked
// until release is called, so that it cannot be deleted under the copy.
func (d *driver) wantedVolume(id string, req *csi.CreateVolumeRequest) (want image, sourcePath string, release func(), err error) {
	want = image{ID: id, Name: req.GetName(), Created: d.clock.Now(), Parameters: req.GetParameters()}
	release = func() {}
	var sourceSize int64
	switch source := req.GetVolumeContentSource(); {
	case source.GetSnapshot() != nil:
		want.SourceSnapshot = source.GetSnapshot().GetSnapshotId()
		release = d.locks.lock("snapshot/" + want.SourceSnapshot)
		sourceSize, sourcePath, err = d.source(d.snapshots, want.SourceSnapshot, d.snapshot)
	case source.GetVolume() != nil:
		want.SourceVolume = source.GetVolume().GetVolumeId()
		release = func() {}
		if want.SourceVolume != id {
			release = d.locks.lock("volume/" + want.SourceVolume)
		}
		sourceSize, sourcePath, err = d.source(d.volumes, want.SourceVolume, true)
	}
	if err == nil {
		want.Size, err = wantedSize(req.GetCapacityRange(), sourceSize)
	}
	if err != nil {
		release()
		return image{}, "", nil, err
	}
	return want, sourcePath, release, nil
}

func (d *driver) source(s *store, id string, supported bool) (size int64, path string, err error) {
	if !supported {
		return 0, "", status.Error(codes.InvalidArgument, "this driver restores no snapshots")
	}
	img, ok := s.get(id)
	if !ok {
		return 0, "", status.Errorf(codes.NotFound, "source %q does not exist", id)
	}
	return img.Size, s.path(id), nil
}

// wantedSize is the smallest size that the range allows and that holds the source.
func wantedSize(capacity *csi.CapacityRange, sourceSize int64) (int64, error) {
	required, limit := capacity.GetRequiredBytes(), capacity.GetLimitBytes()
	if required < 0 || limit < 0 || (limit > 0 && required > limit) {
		return 0, status.Errorf(codes.InvalidArgument, "capacity range %d to %d is not a range", required, limit)
	}
	size := max(required, sourceSize)
	if size == 0 {
		size = defaultSize
		if limit > 0 {
			size = min(size, limit)
		}
	}
	if required > 0 && required < sourceSize {
		return 0, status.Errorf(codes.OutOfRange, "%d bytes are fewer than the %d of the source", required, sourceSize)
	}
	if limit > 0 && size > limit {
		return 0, status.Errorf(codes.OutOfRange, "%d bytes are more than the limit of %d", size, limit)
	}
	return size, nil
}

// makeImage copies or creates the data, and turns a full store into the code the specification asks for.
func (d *driver) makeImage(s *store, img image, sourcePath string) error {
	err := d.checkSpace(img.Size)
	if err == nil {
		err = s.create(img, sourcePath)
	}
	if errors.Is(err, errNoSpace) || errors.Is(err, syscall.ENOSPC) {
		return status.Errorf(codes.ResourceExhausted, "%q needs %d bytes: %v", img.Name, img.Size, err)
	}
	if err != nil {
		return status.Errorf(codes.Internal, "making %q: %v", img.Name, err)
	}
	return nil
}

func (d *driver) checkSpace(size int64) error {
	if d.faults.outOfSpace() {
		return errNoSpace
	}
	if d.capacity > 0 && d.free() < size {
		return errNoSpace
	}
	return nil
}

func (d *driver) free() int64 {
	return d.capacity - d.volumes.used() - d.snapshots.used()
}

// compatible says whether an existing volume is what a repeated request asks for.
func compatible(have, want image, capacity *csi.CapacityRange) bool {
	limit := capacity.GetLimitBytes()
	return have.SourceSnapshot == want.SourceSnapshot &&
		have.SourceVolume == want.SourceVolume &&
		have.Size >= capacity.GetRequiredBytes() &&
		(limit == 0 || have.Size <= limit) &&
		maps.Equal(have.Parameters, want.Parameters)
}

func checkCapabilities(capabilities []*csi.VolumeCapability) error {
	if len(capabilities) == 0 {
		return status.Error(codes.InvalidArgument, "volume capabilities must be set")
	}
	for _, capability := range capabilities {
		if capability.GetBlock() == nil && capability.GetMount() == nil {
			return status.Error(codes.InvalidArgument, "a volume capability must be block or mount")
		}
		if capability.GetAccessMode().GetMode() == csi.VolumeCapability_AccessMode_UNKNOWN {
			return status.Error(codes.InvalidArgument, "a volume capability must have an access mode")
		}
	}
	return nil
}

func volumeResponse(img image, source *csi.VolumeContentSource) *csi.CreateVolumeResponse {
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: img.ID, CapacityBytes: img.Size, ContentSource: source,
	}}
}

// DeleteVolume deletes a volume; that there is none is success.
func (d *driver) DeleteVolume(_ context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	id := req.GetVolumeId()
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "volume id must be set")
	}
	defer d.locks.lock("volume/" + id)()
	if err := d.volumes.remove(id); err != nil {
		return nil, status.Errorf(codes.Internal, "deleting volume %q: %v", id, err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// ValidateVolumeCapabilities confirms any capability, since a file can be used in every way.
func (d *driver) ValidateVolumeCapabilities(_ context.Context, req *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "volume id must be set")
	}
	if err := checkCapabilities(req.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	if _, ok := d.volumes.get(req.GetVolumeId()); !ok {
		return nil, status.Errorf(codes.NotFound, "volume %q does not exist", req.GetVolumeId())
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext:      req.GetVolumeContext(),
		VolumeCapabilities: req.GetVolumeCapabilities(),
		Parameters:         req.GetParameters(),
	}}, nil
}

// ControllerExpandVolume grows a volume; a smaller size than it has already is success.
func (d *driver) ControllerExpandVolume(_ context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	id := req.GetVolumeId()
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "volume id must be set")
	}
	if req.GetCapacityRange() == nil {
		return nil, status.Error(codes.InvalidArgument, "capacity range must be set")
	}
	defer d.locks.lock("volume/" + id)()
	img, ok := d.volumes.get(id)
	if !ok {
		return nil, status.Errorf(codes.NotFound, "volume %q does not exist", id)
	}
	size, err := wantedSize(req.GetCapacityRange(), 0)
	if err != nil {
		return nil, err
	}
	if size <= img.Size {
		return &csi.ControllerExpandVolumeResponse{CapacityBytes: img.Size}, nil
	}
	if err := d.checkSpace(size - img.Size); err != nil {
		return nil, status.Errorf(codes.ResourceExhausted, "volume %q cannot grow to %d bytes: %v", id, size, err)
	}
	if err := d.volumes.grow(img, size); err != nil {
		return nil, status.Errorf(codes.Internal, "growing volume %q: %v", id, err)
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: size}, nil
}

// GetCapacity reports what is left.
func (d *driver) GetCapacity(context.Context, *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	if d.capacity == 0 {
		return &csi.GetCapacityResponse{AvailableCapacity: 1 << 50}, nil
	}
	return &csi.GetCapacityResponse{AvailableCapacity: max(0, d.free())}, nil
}

// ListVolumes lists the volumes page by page.
func (d *driver) ListVolumes(_ context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	page, next, err := paginate(d.volumes.list(), req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	resp := &csi.ListVolumesResponse{NextToken: next}
	for _, img := range page {
		resp.Entries = append(resp.Entries, &csi.ListVolumesResponse_Entry{
			Volume: &csi.Volume{VolumeId: img.ID, CapacityBytes: img.Size},
			Status: &csi.ListVolumesResponse_VolumeStatus{},
		})
	}
	return resp, nil
}

// paginate cuts one page out of a sorted list. A token is the id the next page begins after, so that a
// deletion between two pages loses no entry.
func paginate(all []image, token string, limit int32) (page []image, next string, err error) {
	if limit < 0 {
		return nil, "", status.Errorf(codes.InvalidArgument, "max entries must not be negative, got %d", limit)
	}
	if token != "" {
		after, err := strconv.Unquote(token)
		if err != nil {
			return nil, "", status.Errorf(codes.Aborted, "token %q is not one of this driver's", token)
		}
		first := slices.IndexFunc(all, func(img image) bool { return img.ID > after })
		if first < 0 {
			return nil, "", nil
		}
		all = all[first:]
	}
	if limit == 0 || int(limit) >= len(all) {
		return all, "", nil
	}
	page = all[:limit]
	return page, strconv.Quote(page[limit-1].ID), nil
}

// ControllerGetCapabilities lists what the driver can do.
func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	kinds := []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_LIST_VOLUMES,
		csi.ControllerServiceCapability_RPC_GET_CAPACITY,
		csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
		csi.ControllerServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	}
	if d.snapshot {
		kinds = append(kinds,
			csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
			csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS)
	}
	resp := &csi.ControllerGetCapabilitiesResponse{}
	for _, kind := range kinds {
		resp.Capabilities = append(resp.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: kind}},
		})
	}
	return resp, nil
}
