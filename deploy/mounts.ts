// Unmounting what a killed node left below its folders. Containers mount in namespaces of their own, which end with
// them; what the host can see is at most a namespace file.
import { readFileSync } from 'node:fs';
import { attempt } from './shell.ts';

export async function unmountBelow(folder: string): Promise<void> {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => unescapeMount(line.split(' ')[1] ?? ''))
    .filter((target) => target.startsWith(`${folder}/`));
  for (const target of mounts.reverse()) await attempt('umount', ['--lazy', target]);
}

/** The kernel writes spaces and the like as octal escapes. */
function unescapeMount(target: string): string {
  return target.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
