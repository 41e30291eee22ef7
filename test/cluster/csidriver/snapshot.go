package csidriver

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// CreateSnapshot copies a volume. The copy is ready to use when the call returns.
func (d *driver) CreateSnapshot(_ context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if !d.snapshot {
		return nil, status.Error(codes.Unimplemented, "this driver takes no snapshots")
	}
	name, source := req.GetName(), req.GetSourceVolumeId()
	if name == "" {
		return nil, status.Error(codes.InvalidArgument, "name must be set")
	}
	if source == "" {
		return nil, status.Error(codes.InvalidArgument, "source volume id must be set")
	}
	id := imageID(name)
	defer d.locks.lock("snapshot/" + id)()
	if have, ok := d.snapshots.get(id); ok {
		if have.SourceVolume != source {
			return nil, status.Errorf(codes.AlreadyExists, "snapshot %q exists of volume %q", name, have.SourceVolume)
		}
		return &csi.CreateSnapshotResponse{Snapshot: snapshotOf(have)}, nil
	}
	defer d.locks.lock("volume/" + source)()
	size, path, err := d.source(d.volumes, source, true)
	if err != nil {
		return nil, err
	}
	img := image{ID: id, Name: name, Size: size, Created: d.clock.Now(), SourceVolume: source}
	if err := d.makeImage(d.snapshots, img, path); err != nil {
		return nil, err
	}
	d.observe("CreateSnapshot", name)
	return &csi.CreateSnapshotResponse{Snapshot: snapshotOf(img)}, nil
}

func snapshotOf(img image) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:     img.ID,
		SourceVolumeId: img.SourceVolume,
		SizeBytes:      img.Size,
		CreationTime:   timestamppb.New(img.Created),
		ReadyToUse:     true,
	}
}

// DeleteSnapshot deletes a snapshot; that there is none is success.
func (d *driver) DeleteSnapshot(_ context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	id := req.GetSnapshotId()
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "snapshot id must be set")
	}
	defer d.locks.lock("snapshot/" + id)()
	if err := d.snapshots.remove(id); err != nil {
		return nil, status.Errorf(codes.Internal, "deleting snapshot %q: %v", id, err)
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

// ListSnapshots lists the snapshots page by page, all or those of one id or volume.
func (d *driver) ListSnapshots(_ context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	var wanted []image
	for _, img := range d.snapshots.list() {
		if matches(req.GetSnapshotId(), img.ID) && matches(req.GetSourceVolumeId(), img.SourceVolume) {
			wanted = append(wanted, img)
		}
	}
	page, next, err := paginate(wanted, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	resp := &csi.ListSnapshotsResponse{NextToken: next}
	for _, img := range page {
		resp.Entries = append(resp.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: snapshotOf(img)})
	}
	return resp, nil
}

// matches says whether a value passes a filter; an empty filter lets everything pass.
func matches(filter, value string) bool {
	return filter == "" || filter == value
}
