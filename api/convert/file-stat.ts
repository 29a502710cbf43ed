// What X-Docker-Container-Path-Stat says of a file: JSON in base64, with Go's way of writing its mode.
import { posix } from 'node:path';
import type { FileStat } from '../../runtime/container/contract.ts';

const TYPE = 0o170000;
const GO = {
  directory: 2 ** 31,
  symlink: 2 ** 27,
  device: 2 ** 26,
  pipe: 2 ** 25,
  socket: 2 ** 24,
  setUser: 2 ** 23,
  setGroup: 2 ** 22,
  character: 2 ** 21,
  sticky: 2 ** 20,
} as const;

export function pathStatHeader(path: string, stat: FileStat): string {
  const seconds = new Date(stat.mtimeSeconds * 1000).toISOString().slice(0, 19);
  const fraction = String(stat.mtimeNanoseconds).padStart(9, '0').replace(/0+$/, '');
  const json = {
    name: posix.basename(path) || '/',
    size: stat.sizeBytes,
    mode: goMode(stat.mode),
    mtime: `${seconds}${fraction === '' ? '' : `.${fraction}`}Z`,
    linkTarget: stat.linkTarget,
  };
  return Buffer.from(JSON.stringify(json)).toString('base64');
}

export function goMode(mode: number): number {
  const types: Readonly<Record<number, number>> = {
    0o040000: GO.directory,
    0o120000: GO.symlink,
    0o060000: GO.device,
    0o020000: GO.device + GO.character,
    0o010000: GO.pipe,
    0o140000: GO.socket,
  };
  const special =
    (mode & 0o4000 ? GO.setUser : 0) + (mode & 0o2000 ? GO.setGroup : 0) + (mode & 0o1000 ? GO.sticky : 0);
  return (mode & 0o777) + special + (types[mode & TYPE] ?? 0);
}
