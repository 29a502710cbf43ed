// The container's file system, built by PID 1 in its own mount namespace before it has left the host's root.
#pragma once
#include "request.h"

// What the steps share. `scratch` is a tmpfs of this namespace only, holding `root` (where the root file system is
// attached), `null` (a character device 1:3) and `empty` (a folder): sources for masks that no container can alter.
struct rootfs {
  int root, scratch;
  int dev;    // our own tmpfs on /dev, or -1
  int devpts; // our own devpts, or -1
};

// mounts.c
int open_bind_sources(struct launch_request *request, struct fault *fault);
int mount_all(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault);
// rootfs.c
int rootfs_begin(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault);
// The layers below a container's own, read-only.
int rootfs_below(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault);
// The layers, or the folder, as the mount `root` of this folder; a descriptor of it, or -1.
int rootfs_overlay(int scratch, const struct launch_request *request, struct fault *fault);
int rootfs_enter(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault);
// devices.c
// The devices that a container gets are numbered: those that all have, then those of the request.
uint32_t devices_count(const struct launch_request *request);
// The host's own node as a tree to be attached, for who may make none; -1 with the fault set.
int device_open(const struct launch_request *request, uint32_t number, struct fault *fault);
int devices_make(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault);
int console_mount(struct rootfs *rootfs, int slave, struct fault *fault);
// masks.c
int mask_paths(struct rootfs *rootfs, const struct strings *paths, struct fault *fault);
int lock_paths(struct rootfs *rootfs, const struct strings *paths, struct fault *fault);

// A mounted-nowhere file system of this type, shown with this source; `data` is its comma-separated options.
int new_file_system(const char *type, const char *source, const char *data, unsigned attributes, struct fault *fault);
