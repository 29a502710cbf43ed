// A user or group that the container does not have. Docker looks for them before there is a task or a process, so that its
// words about them have no frame around them.
export const isUserFault = (reason: string): boolean => /^unable to find (user|group) /.test(reason);
