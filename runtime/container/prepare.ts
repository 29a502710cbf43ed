// Everything of a run but its command: network, files, namespaces, mounts, cgroups; the helper holds the process just
// before its exec. Whatever fails undoes what came before it.
import { rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../../base/errors.ts';
import { Scope } from '../../base/scope.ts';
import type { LaunchRequest, NamespaceChoice, Shim } from '../native/contract.ts';
import type { Endpoint } from '../network/contract.ts';
import type { Container } from './container.ts';
import { type DevicePlan, planDevices } from './devices.ts';
import { hostsText, resolvText } from './host-files.ts';
import { launchRequest } from './launch-request.ts';
import { linkedHosts, linkVariables } from './links.ts';
import { addressesOf, joinNetworks } from './network-places.ts';
import type { ContainerParts } from './parts.ts';
import { securityOfContainer } from './security-of.ts';
import { mountVolumes } from './volume-mounts.ts';
import { isAlive } from './state.ts';

type RunFiles = LaunchRequest['runFiles'];
const SENT_LENGTH_MAX = 64 * 1024;

export interface Prepared {
  readonly shim: Shim;
  readonly endpoints: readonly Endpoint[];
  /** Takes all of it down again, unless it was handed over. */
  readonly undo: Scope;
}

/** `onDisk`: when its folders are there. */
export async function prepare(container: Container, parts: ContainerParts, onDisk?: Promise<void>): Promise<Prepared> {
  await using undo = new Scope();
  const { config } = container.record;
  await mountVolumes(container, parts, container.id, undo);
  const hostname = hostnameOf(container, parts);
  const endpoints = await joinNetworks(container, parts, hostname, undo);
  container.hasRunFolders = true; // the helper makes them
  undo.defer(() => clearRun(container, parts));
  const security = securityOfContainer(container, parts);
  const [devices, hostFiles] = await Promise.all([
    planDevices(config),
    hostFilesOf(container, parts, { hostname, endpoints }),
    parts.cgroups.prepare(config.cgroupParent),
    parts.security.appArmor.ensure(security.appArmorProfile),
  ]);
  const cgroups = parts.cgroups.plan(container.id, config.limits, devices.rules, config.cgroupParent);
  const runtime = await otherRuntime(container, parts, devices);
  // Another runtime makes a group in every hierarchy.
  container.cgroupFolders = runtime ? undefined : cgroups.groups.map(({ path }) => path);
  const request = launchRequest({
    record: container.record,
    runDirectory: container.folders.runDirectory,
    runFiles: await sendable(container, hostFiles),
    stateDirectory: container.folders.directory,
    lowers: [...container.held.lowers, parts.mountPoints],
    hostname,
    linkVariables: linkVariables(container, parts),
    etc: etcOf(container, parts),
    namespaces: namespacesOf(container, parts, endpoints[0]),
    cgroups,
    devices,
    runtime,
    security,
    consoleSize: container.consoleSize,
  });
  await onDisk;
  const shim = await parts.native.launch(request);
  undo.defer(() => shim.kill());
  return { shim, endpoints, undo: undo.handOver() };
}

async function otherRuntime(
  { id, record: { config } }: Container,
  parts: ContainerParts,
  devices: DevicePlan,
): Promise<LaunchRequest['runtime']> {
  const runtime = await parts.ociRuntimes.find(config.runtime ?? '');
  return runtime && { ...runtime, cgroupsPath: parts.cgroups.path(id, config.cgroupParent), devices: devices.rules };
}

function hostnameOf(container: Container, parts: ContainerParts): string {
  const { config } = container.record;
  if (config.hostname !== '') return config.hostname;
  if (config.utsMode === 'host' || config.network === 'host') return parts.hostFiles.hostname();
  const other = networkOwner(container, parts);
  return other === undefined ? container.id.slice(0, 12) : hostnameOf(other, parts);
}

/** The container whose network this one shares. */
function networkOwner(container: Container, parts: ContainerParts): Container | undefined {
  const { network } = container.record.config;
  return network.startsWith('container:') ? parts.find(network.slice('container:'.length)) : undefined;
}

/** What a run leaves besides its state: the folder with its sockets, unless the shim took it away, and its cgroups. */
export async function clearRun(container: Container, parts: ContainerParts): Promise<void> {
  rmSync(container.folders.runDirectory, { recursive: true, force: true });
  await parts.cgroups.remove(container.id, container.record.config.cgroupParent, container.cgroupFolders);
  container.hasRunFolders = false;
}

/** The helper writes them: several of it work at a time, the daemon's main thread is one. */
async function hostFilesOf(
  container: Container,
  parts: ContainerParts,
  facts: { hostname: string; endpoints: readonly Endpoint[] },
): Promise<RunFiles> {
  if (networkOwner(container, parts)) return []; // shares the other's files
  const { config } = container.record;
  const isHost = config.network === 'host';
  const { hostname, endpoints } = facts;
  const hosts = hostsText({
    base: isHost ? await parts.hostFiles.hosts() : undefined,
    hostname,
    domainName: config.domainName,
    addresses: endpoints.flatMap(addressesOf),
    gateway: isHost ? '127.0.0.1' : (endpoints.find(({ gateway }) => gateway !== '')?.gateway ?? ''),
    extraHosts: [...config.extraHosts, ...linkedHosts(container, parts)],
  });
  const own = { ownNetwork: !isHost, resolver: endpoints.some(({ resolver }) => resolver === true) };
  const resolv = resolvText(await parts.hostFiles.resolvConf(own), config.dns, own);
  return [
    { name: 'hostname', content: `${hostname}\n` },
    { name: 'hosts', content: hosts },
    { name: 'resolv.conf', content: resolv },
  ];
}

/** A machine's own /etc/hosts, which its network comes with, can be larger than a request: such a file is written here. */
async function sendable(container: Container, files: RunFiles): Promise<RunFiles> {
  const { runDirectory } = container.folders;
  const large = files.filter(({ content }) => content.length > SENT_LENGTH_MAX);
  if (large.length > 0) await mkdir(runDirectory, { recursive: true, mode: 0o700 });
  for (const { name, content } of large) await writeFile(join(runDirectory, name), content, { mode: 0o644 });
  return files.filter((file) => !large.includes(file));
}

function etcOf(container: Container, parts: ContainerParts): { hosts: string; hostname: string; resolvConf: string } {
  const { runDirectory } = (networkOwner(container, parts) ?? container).folders;
  return {
    hosts: join(runDirectory, 'hosts'),
    hostname: join(runDirectory, 'hostname'),
    resolvConf: join(runDirectory, 'resolv.conf'),
  };
}

function namespacesOf(
  container: Container,
  parts: ContainerParts,
  endpoint: Endpoint | undefined,
): LaunchRequest['namespaces'] {
  const { config } = container.record;
  const isUnified = parts.cgroups.layout.unifiedControls;
  // Docker's default: of its own on version 2, the host's on version 1.
  const cgroup = config.cgroupNamespaceMode || (isUnified ? 'private' : 'host');
  return {
    network: networkNamespace(container, parts, endpoint),
    pid: shared(config.pidMode, 'pid', parts),
    ipc: shared(config.ipcMode, 'ipc', parts),
    uts: { kind: config.utsMode === 'host' ? 'host' : 'new' },
    cgroup: { kind: cgroup === 'host' ? 'host' : 'new' },
  };
}

function networkNamespace(
  container: Container,
  parts: ContainerParts,
  endpoint: Endpoint | undefined,
): NamespaceChoice {
  const { network } = container.record.config;
  if (endpoint === undefined) return shared(network, 'net', parts);
  return endpoint.sandboxPath === '' ? { kind: 'host' } : { kind: 'path', path: endpoint.sandboxPath };
}

/** '' private shareable none: a new one · host · container:x, which must be running. */
function shared(mode: string, file: 'net' | 'pid' | 'ipc', parts: ContainerParts): NamespaceChoice {
  if (mode === 'host') return { kind: 'host' };
  if (!mode.startsWith('container:')) return { kind: 'new' };
  const other = parts.find(mode.slice('container:'.length));
  if (!isAlive(other.state)) {
    const why = {
      net: `cannot join network of a non running container: ${other.id}`,
      pid: `cannot join PID namespace: container ${other.id} is not running`,
      ipc: `can't join IPC of container ${other.id}: container ${other.id} is not running`,
    };
    fail('conflict', why[file]);
  }
  if (file === 'ipc' && !['shareable', 'host'].includes(other.record.config.ipcMode)) {
    const hint = 'non-shareable IPC (hint: use IpcMode:shareable for the donor container)';
    fail('invalid', `can't join IPC of container ${other.id}: ${hint}`);
  }
  return { kind: 'path', path: `/proc/${other.status.pid}/ns/${file}` };
}
