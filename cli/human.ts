// Times as docker writes them.

const STEPS: readonly (readonly [belowSeconds: number, write: (seconds: number) => string])[] = [
  [1, () => 'Less than a second'],
  [2, () => '1 second'],
  [60, (seconds) => `${seconds} seconds`],
  [120, () => 'About a minute'],
  [2760, (seconds) => `${Math.floor(seconds / 60)} minutes`],
  [5400, () => 'About an hour'],
  [172_800, (seconds) => `${Math.round(seconds / 3600)} hours`],
  [1_209_600, (seconds) => `${Math.floor(seconds / 86_400)} days`],
  [5_184_000, (seconds) => `${Math.floor(seconds / 604_800)} weeks`],
  [63_072_000, (seconds) => `${Math.floor(seconds / 2_592_000)} months`],
];

/** `5 minutes`, `About an hour`: the words of github.com/docker/go-units' HumanDuration. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const step = STEPS.find(([below]) => seconds < below);
  return step ? step[1](seconds) : `${Math.floor(seconds / 31_536_000)} years`;
}

export const ago = (time: string | number, nowMs: number): string =>
  `${humanDuration(nowMs - (typeof time === 'number' ? time * 1000 : Date.parse(time)))} ago`;
