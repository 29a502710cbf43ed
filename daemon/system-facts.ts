// What this machine and this daemon are, read once at start.
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { whyNoAppArmor } from '../runtime/container/app-armor.ts';

export interface MachineFacts {
  readonly hostname: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  readonly architecture: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cgroupVersion: '1' | '2';
  readonly appArmor: boolean;
}

export function machineFacts(): MachineFacts {
  const release = parseOsRelease(existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '');
  return {
    hostname: os.hostname(),
    kernelVersion: os.release(),
    operatingSystem: release.get('PRETTY_NAME') ?? 'Linux',
    osVersion: release.get('VERSION_ID') ?? '',
    architecture: os.machine(),
    cpus: os.cpus().length,
    memoryBytes: os.totalmem(),
    cgroupVersion: existsSync('/sys/fs/cgroup/cgroup.controllers') ? '2' : '1',
    appArmor: whyNoAppArmor() === undefined,
  };
}

/** Reads os-release(5): NAME="value" lines. */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const pairs = text.split('\n').map((line) => /^([A-Z_]+)=(?:"(.*)"|(.*))$/.exec(line.trim()));
  return new Map(pairs.flatMap((match) => (match?.[1] ? [[match[1], match[2] ?? match[3] ?? '']] : [])));
}

/** The group's id by name, for the socket; undefined where the machine has no such group. */
export function groupId(name: string): number | undefined {
  if (!existsSync('/etc/group')) return undefined;
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const id = Number(line?.split(':')[2]);
  return line && Number.isInteger(id) ? id : undefined;
}
