// What is wrong with a config whatever the state of the machine. Docker's sentences where clients match on them.
import { fail } from '../../base/errors.ts';
import type { ContainerConfig, ContainerLimits, RestartRule } from './contract.ts';
import { parseBytes } from '../../base/units.ts';
import { parseDeviceRule } from './devices.ts';
import { cleanTarget } from './merge.ts';
import { isAvailable, isNumberList } from './online.ts';
import { parseSignal } from './signals.ts';

const MEMORY_MIN = 6 * 1024 * 1024;
const NANO = 1e9;
const LOG_DRIVERS = new Set(['json-file', 'local', 'none']);
const LOG_OPTIONS = /^(max-size|max-file|compress|mode|max-buffer-size)$/;
/** What the json-file driver tells of a container beside its lines, when details are asked for. */
const LOG_DETAILS = /^(labels|labels-regex|env|env-regex|tag)$/;

/** What of the machine decides over a limit. */
interface Machine {
  readonly cpus: number;
  /** Numbers of those that there are, such as `0-3,8`. */
  readonly online: (kind: 'cpu' | 'node') => string;
}

export function validateConfig(config: ContainerConfig, machine: Machine): void {
  if (config.workingDirectory !== '' && !config.workingDirectory.startsWith('/')) {
    fail('invalid', `the working directory '${config.workingDirectory}' is invalid, it needs to be an absolute path`);
  }
  if (config.stopSignal !== '') parseSignal(config.stopSignal);
  validateNames(config);
  validateModes(config);
  validateMounts(config);
  validateLimits(config.limits, machine);
  validateRestart(config.restart);
  if (config.autoRemove && config.restart.name !== 'no') {
    fail('invalid', "can't create 'AutoRemove' container with restart policy");
  }
  for (const rule of config.deviceRules ?? []) parseDeviceRule(rule);
  validateLogDriver(config);
}

function validateNames({ hostname, env, extraHosts }: ContainerConfig): void {
  if (hostname.length > 63) fail('invalid', `invalid hostname: ${hostname.slice(0, 70)} is longer than 63 characters`);
  // It becomes a word of /etc/hosts; apart from that a name may be what the kernel takes.
  if (/[\s\0#]/.test(hostname)) fail('invalid', `invalid hostname: ${hostname}`);
  for (const entry of env) {
    if (entry.startsWith('=') || entry === '') fail('invalid', `invalid environment variable: ${entry}`);
    if (entry.includes('\0')) fail('invalid', 'an environment variable must not contain a zero byte');
  }
  for (const host of extraHosts) {
    if (!/^[^:=\s]+[:=]\S+$/.test(host)) fail('invalid', `bad format for add-host: "${host}"`);
  }
}

function validateModes(config: ContainerConfig): void {
  const { network, hostname, utsMode, publish } = config;
  if (utsMode !== '' && utsMode !== 'host') fail('invalid', `invalid UTS mode: ${utsMode}`);
  if (utsMode === 'host' && hostname !== '') fail('invalid', 'conflicting options: hostname and the UTS mode');
  if (!/^(|private|shareable|host|none|container:.+)$/.test(config.ipcMode))
    fail('invalid', `invalid IPC mode: ${config.ipcMode}`);
  if (!/^(|host|container:.+)$/.test(config.pidMode)) fail('invalid', `invalid PID mode: ${config.pidMode}`);
  if (!/^(|private|host)$/.test(config.cgroupNamespaceMode)) {
    fail('invalid', `invalid cgroup namespace mode: ${config.cgroupNamespaceMode}`);
  }
  if (network.startsWith('container:')) {
    if (hostname !== '') fail('invalid', 'conflicting options: hostname and the network mode');
    if (publish.length > 0) fail('invalid', 'conflicting options: port publishing and the container type network mode');
    if (config.macAddress !== '') fail('invalid', 'conflicting options: mac-address and the network mode');
    if (config.extraHosts.length > 0) {
      fail('invalid', 'conflicting options: custom host-to-IP mapping and the network mode');
    }
  }
}

function validateMounts({ mounts, tmpfs }: ContainerConfig): void {
  const seen = new Set<string>();
  const targets = [...mounts.map((mount) => mount.target), ...Object.keys(tmpfs)];
  for (const target of targets) {
    if (!target.startsWith('/')) fail('invalid', `invalid mount path: '${target}' mount path must be absolute`);
    const clean = cleanTarget(target);
    if (clean === '/') fail('invalid', `invalid mount path: '${target}' mount path can't be '/'`);
    if (seen.has(clean)) fail('invalid', `Duplicate mount point: ${clean}`);
    seen.add(clean);
  }
  for (const mount of mounts) {
    if (mount.type === 'bind' && !mount.source.startsWith('/')) {
      fail(
        'invalid',
        `invalid mount config for type "bind": invalid mount path: '${mount.source}' mount path must be absolute`,
      );
    }
    if (!/^(|r?private|r?shared|r?slave)$/.test(mount.propagation)) {
      fail('invalid', `invalid propagation mode: ${mount.propagation}`);
    }
  }
}

export function validateLimits(limits: ContainerLimits, { cpus, online }: Machine): void {
  const { memoryBytes, memorySwapBytes, memoryReservationBytes, nanoCpus, cpuQuota, cpuPeriod, cpuShares } = limits;
  if (memoryBytes > 0 && memoryBytes < MEMORY_MIN) fail('invalid', 'Minimum memory limit allowed is 6MB');
  if (memorySwapBytes > 0 && memoryBytes === 0) {
    fail('invalid', 'You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  if (memorySwapBytes > 0 && memorySwapBytes < memoryBytes) {
    fail('invalid', 'Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (memoryBytes > 0 && memoryReservationBytes > memoryBytes) {
    fail('invalid', 'Minimum memory limit can not be less than memory reservation limit, see usage');
  }
  if (nanoCpus < 0 || nanoCpus > cpus * NANO) {
    const range = `range of CPUs is from 0.01 to ${cpus.toFixed(2)}`;
    fail('invalid', `${range}, as there are only ${cpus} CPUs available`);
  }
  if (nanoCpus > 0 && cpuPeriod > 0)
    fail('invalid', 'Conflicting options: Nano CPUs and CPU Period cannot both be set');
  if (nanoCpus > 0 && cpuQuota > 0) fail('invalid', 'Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  if (cpuPeriod !== 0 && (cpuPeriod < 1000 || cpuPeriod > 1_000_000)) {
    fail('invalid', 'CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (cpuQuota > 0 && cpuQuota < 1000) fail('invalid', 'CPU cfs quota can not be less than 1ms (i.e. 1000)');
  if (cpuShares < 0) fail('invalid', `invalid CPU shares (${cpuShares}): value must be a positive integer`);
  const { cpusetMems = '', memorySwappiness = 0, blockIoWeight = 0, oomKillDisable = false } = limits;
  requireOnline('CPUs', 'cpuset cpus', limits.cpusetCpus, () => online('cpu'));
  requireOnline('memory nodes', 'cpuset mems', cpusetMems, () => online('node'));
  if (memorySwappiness < 0 || memorySwappiness > 100)
    fail('invalid', `Invalid value: ${memorySwappiness}, valid memory swappiness range is 0-100`);
  if (blockIoWeight !== 0 && (blockIoWeight < 10 || blockIoWeight > 1000))
    fail('invalid', 'Range of blkio weight is from 10 to 1000');
  if (oomKillDisable && memoryBytes === 0)
    fail(
      'invalid',
      'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
    );
}

function requireOnline(what: string, option: string, requested: string, look: () => string): void {
  if (requested === '') return;
  if (!isNumberList(requested)) fail('invalid', `Invalid value ${requested} for ${option}`);
  const available = look();
  if (isAvailable(requested, available)) return;
  fail('invalid', `Requested ${what} are not available - requested ${requested}, available: ${available}`);
}

export function validateRestart({ name, attemptsMax }: RestartRule): void {
  if (attemptsMax < 0) fail('invalid', 'invalid restart policy: maximum retry count cannot be negative');
  if (attemptsMax > 0 && name !== 'on-failure') {
    fail('invalid', "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
}

function validateLogOptions(options: Readonly<Record<string, string>>): void {
  const { mode = 'blocking', compress = 'false' } = options;
  const size = options['max-size'];
  const files = options['max-file'];
  if (size !== undefined && size !== '-1' && parseBytes(size) <= 0)
    fail('invalid', 'max-size must be a positive number');
  if (files !== undefined && !/^[1-9]\d{0,3}$/.test(files)) fail('invalid', `max-file cannot be '${files}'`);
  if (!['blocking', 'non-blocking'].includes(mode)) fail('invalid', `logger: logging mode not supported: ${mode}`);
  if (options['max-buffer-size'] !== undefined) parseBytes(options['max-buffer-size']);
  if (!['true', 'false'].includes(compress)) fail('invalid', `invalid value for compress: ${compress}`);
  if (compress === 'true') fail('not-implemented', 'compressing rotated logs is not implemented yet');
}

function validateLogDriver({ logDriver }: ContainerConfig): void {
  const { name, options } = logDriver;
  if (name === '' || LOG_DRIVERS.has(name)) {
    for (const option of Object.keys(options)) {
      const isKnown = LOG_OPTIONS.test(option) || (name !== 'local' && LOG_DETAILS.test(option));
      if (name === 'none' || !isKnown) {
        fail('invalid', `unknown log opt '${option}' for ${name || 'json-file'} log driver`);
      }
    }
    validateLogOptions(options);
    return;
  }
  fail('invalid', `logger: no log driver named '${name}' is registered`);
}
