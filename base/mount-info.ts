// Lines of /proc/self/mountinfo.

/** Blanks and their like stand in octal. */
export const unescaped = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Where something is mounted, in the order of mounting; a path stands there as often as something is mounted on it. */
export const mountPointsOf = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => unescaped(line.split(' ', 5)[4] ?? ''));
