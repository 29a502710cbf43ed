// What Docker finds out before there is a task or a process, so that its words about it have no frame around them: a user
// or a group that the container does not have, a device that the machine does not have, a volume that can not be mounted.
export const isUnframed = (reason: string): boolean =>
  /^(unable to find (user|group) |error gathering device information |error while mounting volume )/.test(reason);
