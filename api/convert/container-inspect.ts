// A container as /containers/{id}/json shows it, with every key that templates ask for.
import type { ContainerConfig, ContainerInfo } from '../../runtime/container/contract.ts';
import type { ContainerConfigJson, ContainerInspect, NetworkSettings } from '../types/container.ts';
import { mountPoints } from './container-mounts.ts';
import { stateOf } from './container-status.ts';
import { type NetworkFacts, networksOf } from './attachment.ts';
import { type Sizes, sizesJson } from './container-summary.ts';
import { Fields } from './fields.ts';
import { healthConfigOf } from './health.ts';
import { type HostDefaults, hostConfigOf } from './host-config.ts';
import { portMapOf } from './ports.ts';
import { goTime } from './time.ts';

export interface InspectFacts extends HostDefaults, NetworkFacts {
  readonly storageDriver: string;
  readonly links: readonly string[] | null;
}

export function containerInspect(info: ContainerInfo, facts: InspectFacts, sizes?: Sizes): ContainerInspect {
  const { storageDriver } = facts;
  const [path = '', ...args] = info.args;
  return {
    Id: info.id,
    Created: goTime(info.createdAtMs),
    Path: path,
    Args: args,
    State: stateOf(info),
    Image: info.imageId,
    ResolvConfPath: info.paths.resolvConf,
    HostnamePath: info.paths.hostname,
    HostsPath: info.paths.hosts,
    LogPath: info.config.logDriver.name === 'local' ? '' : info.logPath,
    Name: `/${info.name}`,
    RestartCount: info.restartCount,
    Driver: storageDriver,
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: info.appArmorProfile,
    ExecIDs: info.execIds.length > 0 ? [...info.execIds] : null,
    HostConfig: { ...hostConfigOf(info.config, facts), Links: facts.links },
    ...sizesJson(sizes),
    GraphDriver: { Name: storageDriver, Data: layersOf(info) },
    Mounts: mountPoints(info),
    Config: configOf(info),
    NetworkSettings: networkSettings(info, facts),
  };
}

function layersOf({ paths }: ContainerInfo): Record<string, string> {
  const beside = (name: string): string => paths.upper.replace(/upper$/, name);
  return {
    LowerDir: paths.lowers.join(':'),
    MergedDir: beside('merged'),
    UpperDir: paths.upper,
    WorkDir: beside('work'),
  };
}

export function configOf(info: ContainerInfo): ContainerConfigJson {
  const { config } = info;
  const asked = new Fields(config.asRequested);
  return {
    Hostname: config.hostname || info.id.slice(0, 12),
    Domainname: config.domainName,
    User: config.user,
    AttachStdin: askedFlag(asked, 'AttachStdin'),
    AttachStdout: askedFlag(asked, 'AttachStdout'),
    AttachStderr: askedFlag(asked, 'AttachStderr'),
    ...(config.exposedPorts.length > 0 ? { ExposedPorts: keySet(config.exposedPorts) } : {}),
    Tty: config.terminal,
    OpenStdin: config.openStdin,
    StdinOnce: config.stdinOnce,
    Env: config.env.length > 0 ? [...config.env] : null,
    Cmd: config.command ? [...config.command] : null,
    ...(config.healthCheck ? { Healthcheck: healthConfigOf(config.healthCheck) } : {}),
    Image: info.imageReference,
    Volumes: volumesOf(config, asked),
    WorkingDir: config.workingDirectory,
    Entrypoint: config.entrypoint && config.entrypoint.length > 0 ? [...config.entrypoint] : null,
    OnBuild: null,
    Labels: { ...config.labels },
    ...(config.stopSignal === '' ? {} : { StopSignal: config.stopSignal }),
    ...(config.stopGraceMs < 0 ? {} : { StopTimeout: Math.round(config.stopGraceMs / 1000) }),
  };
}

const askedFlag = (asked: Fields, key: string): boolean => asked.raw(key) === true;

const keySet = (keys: readonly string[]): Record<string, Record<string, never>> =>
  Object.fromEntries(keys.map((key) => [key, {}]));

/** Those of `-v /path` and of the image: what `--mount` asks for is told with the mounts alone. */
function volumesOf(config: ContainerConfig, asked: Fields): Record<string, Record<string, never>> | null {
  const mounted = asked.object('HostConfig').objects('Mounts');
  const told = new Set(mounted.map((mount) => mount.text('Target') || mount.text('Destination')));
  const anonymous = config.mounts.filter(
    ({ type, source, target }) => type === 'volume' && source === '' && !told.has(target),
  );
  const targets = [...new Set([...asked.keys('Volumes'), ...anonymous.map((mount) => mount.target)])];
  return targets.length > 0 ? keySet(targets) : null;
}

function networkSettings(info: ContainerInfo, facts: NetworkFacts): NetworkSettings {
  const networks = networksOf(info, facts);
  // The flat fields are the default bridge's, as they were before there were other networks.
  const bridge = networks['bridge'];
  return {
    Bridge: '',
    SandboxID: info.endpoint?.id ?? '',
    SandboxKey: info.endpoint?.sandboxPath ?? '',
    Ports: portMapOf(info.endpoints, info.config.exposedPorts),
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.EndpointID ?? '',
    Gateway: bridge?.Gateway ?? '',
    GlobalIPv6Address: bridge?.GlobalIPv6Address ?? '',
    GlobalIPv6PrefixLen: bridge?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: bridge?.IPAddress ?? '',
    IPPrefixLen: bridge?.IPPrefixLen ?? 0,
    IPv6Gateway: bridge?.IPv6Gateway ?? '',
    MacAddress: bridge?.MacAddress ?? '',
    Networks: networks,
  };
}
