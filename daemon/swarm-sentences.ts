// What a node says of its place in a swarm, in Docker's words: clients match on some of them.

export const LOCKED =
  'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.';
export const NOT_IN_SWARM =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm ' +
  'and try again.';
export const NOT_A_MANAGER =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this " +
  'command on a manager node or promote the current node to a manager.';

export const OPENING = 'This node has just begun and is about to take up its place in the swarm: try again.';

export function leavingSentence(managers: number): string {
  const start = 'You are attempting to leave the swarm on a node that is participating as a manager. ';
  if (managers <= 1) {
    return `${start}Removing the last manager erases all current state of the swarm. Use \`--force\` to ignore this message.`;
  }
  const left = managers - 1;
  const needed = Math.floor(managers / 2) + 1;
  if (left >= needed) {
    return `${start}Removing this node leaves ${left} managers out of ${managers}. Use \`--force\` to suppress this message.`;
  }
  return (
    `${start}Removing this node leaves ${left} managers out of ${managers}. Without a Raft quorum your swarm will be ` +
    'inaccessible. Use `--force` to suppress this message.'
  );
}
