// Which device nodes a container gets and which it may open.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fail } from '../../base/errors.ts';
import type { DeviceRule, LaunchRequest } from '../native/contract.ts';
import { DEFAULT_DEVICE_RULES } from '../native/defaults.ts';
import type { ContainerConfig } from './contract.ts';

export type DeviceNode = LaunchRequest['devices'][number];

export interface DevicePlan {
  readonly nodes: readonly DeviceNode[];
  readonly rules: readonly DeviceRule[] | undefined; // undefined: everything is allowed
}

const NODES_MAX = 2_000;
/** What every container has anyway, and what is a file system of its own. */
const HOST_SKIPPED = new Set(
  'null zero full random urandom tty ptmx console pts shm fd mqueue .lxc .lxd-mounts .udev'.split(' '),
);

const allow = (type: 'b' | 'c', major: number, minor: number, access = 'rwm'): DeviceRule => ({
  allow: true,
  type,
  major,
  minor,
  access,
});

/** `c 1:3 mr`, `b *:* rwm`. */
export function parseDeviceRule(text: string): DeviceRule {
  const [, type = '', major = '', minor = '', access = ''] =
    /^([abc]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(text) ?? [];
  if (type === '') fail('invalid', `invalid device cgroup rule format: '${text}'`);
  const number = (part: string): number => (part === '*' ? -1 : Number(part));
  return { allow: true, type: type as DeviceRule['type'], major: number(major), minor: number(minor), access };
}

export async function planDevices(
  config: Pick<ContainerConfig, 'privileged' | 'devices' | 'deviceRules'>,
): Promise<DevicePlan> {
  if (config.privileged) return { nodes: await hostDevices('/dev', '/dev'), rules: undefined };
  const nodes: DeviceNode[] = [];
  const rules: DeviceRule[] = [];
  for (const { hostPath, containerPath, access } of config.devices) {
    if (access !== '' && !/^[rwm]{1,3}$/.test(access)) fail('invalid', `invalid device mode: ${access}`);
    const found = await devicesAt(hostPath, containerPath || hostPath);
    if (found.length === 0)
      fail('invalid', `error gathering device information while adding custom device "${hostPath}": not a device node`);
    nodes.push(...found);
    rules.push(...found.map(({ type, major, minor }) => allow(type, major, minor, access || 'rwm')));
  }
  const asked = (config.deviceRules ?? []).map(parseDeviceRule);
  return { nodes, rules: [...DEFAULT_DEVICE_RULES, ...rules, ...asked] };
}

async function devicesAt(hostPath: string, path: string): Promise<DeviceNode[]> {
  try {
    const node = await nodeAt(hostPath, path);
    return node ? [node] : await hostDevices(hostPath, path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
    const reason = `error gathering device information while adding custom device "${hostPath}": no such file or directory`;
    return fail('invalid', reason);
  }
}

async function nodeAt(hostPath: string, path: string): Promise<DeviceNode | undefined> {
  const status = await stat(hostPath);
  const type = status.isCharacterDevice() ? 'c' : status.isBlockDevice() ? 'b' : undefined;
  if (!type) return undefined;
  const { rdev, mode, uid, gid } = status;
  return { path, type, major: majorOf(rdev), minor: minorOf(rdev), mode: mode & 0o777, uid, gid };
}

async function hostDevices(directory: string, path: string): Promise<DeviceNode[]> {
  const nodes: DeviceNode[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (HOST_SKIPPED.has(entry.name) || entry.isSymbolicLink()) continue;
    const [host, inside] = [join(directory, entry.name), join(path, entry.name)];
    if (entry.isDirectory()) nodes.push(...(await hostDevices(host, inside)));
    else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      const node = await nodeAt(host, inside);
      if (node) nodes.push(node);
    }
    if (nodes.length > NODES_MAX) fail('invalid', `${directory} holds more than ${NODES_MAX} devices`);
  }
  return nodes;
}

// The kernel's layout of a 64-bit device number (source: makedev(3)).
export const majorOf = (rdev: number): number => {
  const number = BigInt(rdev);
  return Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n));
};
export const minorOf = (rdev: number): number => {
  const number = BigInt(rdev);
  return Number((number & 0xffn) | ((number >> 12n) & 0xffffff00n));
};
