// What travels on a session: tasks and ingress entries to an agent, statuses back. JSON in a bytes field; parsed here,
// at the border, on both sides.
import { fail } from '../base/errors.ts';
import { isSwarmId } from '../base/id.ts';
import {
  asArray,
  asBoolean,
  asInteger,
  asMap,
  asNumber,
  asObject,
  asOneOf,
  asString,
  type Json,
  optional,
  parseJson,
} from '../base/parse.ts';
import type { GuestPlace, GuestRequest } from './control.ts';
import type {
  EncryptionMeans,
  Labels,
  NetworkSubnet,
  NodeDescription,
  PortConfig,
  Task,
  TaskStatus,
} from './objects.ts';
import type { SessionAffinity } from './session-affinity.ts';
import { DESIRED_STATE, TASK_STATE } from './task-state.ts';

export const PROTOCOL = { minimum: 1, maximum: 1, features: ['streams', 'resume'] } as const;

/** Fails when the other side speaks no version that we speak. */
export function agreeOnProtocol(other: { minimum: number; maximum: number } | null | undefined, who: string): void {
  const [theirMin, theirMax] = [other?.minimum ?? 0, other?.maximum ?? 0];
  if (theirMin > PROTOCOL.maximum || theirMax < PROTOCOL.minimum || theirMax === 0) {
    const ours = `${PROTOCOL.minimum} to ${PROTOCOL.maximum}`;
    fail('invalid', `${who} speaks protocol ${theirMin} to ${theirMax}; this node speaks ${ours}`);
  }
}

/** Where a service's published ports lead, for every node. */
export interface IngressEntry {
  readonly serviceId: string;
  readonly ports: readonly PortConfig[]; // publish mode ingress only
  /** Nodes with a running task of the service; the receiving node leaves itself out. */
  readonly nodes: readonly {
    readonly nodeId: string;
    readonly address: string;
    /** Where it takes connections with their client's address; absent: it does not. */
    readonly wayPort?: number;
  }[];
  /** Addresses of nodes that are down with tasks of the service: connections that lead there are dead. */
  readonly lost: readonly string[];
  /** Absent: every connection may go to another back end. */
  readonly affinity?: SessionAffinity;
}

/** A node of the cluster. */
export interface PeerEntry {
  readonly nodeId: string;
  /** Where its packets may come from. */
  readonly addresses: readonly string[];
}

/** A network that a task of the receiving node is on. */
export interface NetworkEntry {
  readonly networkId: string;
  readonly name: string;
  readonly subnet: string;
  readonly gateway: string;
  readonly further?: readonly NetworkSubnet[];
  readonly subnet6?: string;
  readonly further6?: readonly string[];
  readonly vni: number;
  readonly internal: boolean;
  readonly attachable?: boolean;
  readonly options: Labels;
  /** Of an encrypted one. It is written to no disk, log or answer. */
  readonly encryption?: NetworkKeys;
}

export interface NetworkKeys {
  readonly keys: readonly { readonly id: number; readonly secret: string }[];
  readonly sendId: number;
}

/** A service on such a network. */
export interface NetworkServiceEntry {
  readonly networkId: string;
  readonly serviceId: string;
  readonly name: string;
  readonly aliases: readonly string[];
  /** Stands for all of its tasks; absent: its name means the tasks themselves. */
  readonly virtualAddress?: string;
  readonly affinity?: SessionAffinity;
}

/** The place of a task, or of a container that no service owns, in such a network. */
export interface EndpointEntry {
  readonly networkId: string;
  readonly taskId: string; // or the guest's id
  readonly serviceId: string; // '' of a guest
  readonly address: string;
  readonly nodeId: string;
  readonly nodeAddress: string;
  readonly nodePort: number; // 0: the usual one
  /** On an encrypted network: by which means its node can encrypt. Absent: it has not said, and has the tunnel. */
  readonly nodeMeans?: readonly EncryptionMeans[];
  /** On an encrypted network: in which life the node's kernel carries it. Absent: it does not, or not yet. */
  readonly nodeLife?: string;
  /** On an encrypted network: the first of its ports where the node's kernel hears WireGuard. Absent: it does not, or not yet. */
  readonly nodeWireguardPort?: number;
  /** New connections may come: it runs, is healthy and shall go on. */
  readonly ready: boolean;
  /** Its node is down: connections to it are dead. */
  readonly lost: boolean;
  readonly name: string; // web.1.ID
  /** Other names, of a container that no service owns. */
  readonly aliases?: readonly string[];
}

const STATUS_BYTES_MAX = 64 * 1024;
const MESSAGE_LENGTH_MAX = 4_096;

export const encodeJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

function decodeJson(bytes: Uint8Array, what: string): Json {
  return asObject(parseJson(Buffer.from(bytes).toString('utf8'), what), what);
}

/** A task as its manager sent it. The spec was validated when it was stored; here the parts that steer are checked. */
export function parseTask(bytes: Uint8Array): Task {
  const json = decodeJson(bytes, 'task');
  const id = asString(json['id'], 'task.id');
  if (!isSwarmId(id)) fail('invalid', `task.id '${id}' is not an id`);
  asString(json['serviceId'], 'task.serviceId');
  asOneOf(json['desired'], 'task.desired', Object.keys(DESIRED_STATE));
  parseStatusJson(asObject(json['status'], 'task.status'));
  const runtime = asObject(asObject(json['spec'], 'task.spec')['runtime'], 'task.spec.runtime');
  asString(runtime['kind'], 'task.spec.runtime.kind');
  return json as unknown as Task;
}

export function parseIngress(bytes: Uint8Array): IngressEntry {
  const json = decodeJson(bytes, 'ingress');
  const affinity = optional(json['affinity'], 'ingress.affinity', asAffinity);
  return {
    serviceId: asString(json['serviceId'], 'ingress.serviceId'),
    ports: asArray(json['ports'], 'ingress.ports', parsePort),
    nodes: asArray(json['nodes'], 'ingress.nodes', (value, path) => {
      const node = asObject(value, path);
      const wayPort = optional(node['wayPort'], `${path}.wayPort`, asWayPort);
      return {
        nodeId: asString(node['nodeId'], `${path}.nodeId`),
        address: asString(node['address'], `${path}.address`),
        ...(wayPort !== undefined && { wayPort }),
      };
    }),
    lost: optional(json['lost'], 'ingress.lost', (value, path) => asArray(value, path, asString)) ?? [],
    ...(affinity && { affinity }),
  };
}

const asAffinity = (value: unknown, path: string): SessionAffinity => asOneOf(value, path, ['client-address']);

export function parsePeer(bytes: Uint8Array): PeerEntry {
  const json = decodeJson(bytes, 'peer');
  return {
    nodeId: asString(json['nodeId'], 'peer.nodeId'),
    addresses: asArray(json['addresses'], 'peer.addresses', asString),
  };
}

const asWayPort = (value: unknown, path: string): number => asInteger(value, path, { min: 1, max: 65_535 });

export function parseNetwork(bytes: Uint8Array): NetworkEntry {
  const json = decodeJson(bytes, 'network');
  const subnet6 = optional(json['subnet6'], 'network.subnet6', asString);
  const further6 = optional(json['further6'], 'network.further6', (value, path) => asArray(value, path, asString));
  const further = optional(json['further'], 'network.further', (value, path) => asArray(value, path, parseSubnetOf));
  const encryption = optional(json['encryption'], 'network.encryption', parseNetworkKeys);
  return {
    networkId: asString(json['networkId'], 'network.networkId'),
    name: asString(json['name'], 'network.name'),
    subnet: asString(json['subnet'], 'network.subnet'),
    gateway: asString(json['gateway'], 'network.gateway'),
    vni: asInteger(json['vni'], 'network.vni', { min: 1, max: 2 ** 24 - 1 }),
    internal: asBoolean(json['internal'], 'network.internal'),
    attachable: optional(json['attachable'], 'network.attachable', asBoolean) ?? false,
    options: asMap(json['options'], 'network.options', asString),
    ...(further && { further }),
    ...(subnet6 !== undefined && { subnet6 }),
    ...(further6 && { further6 }),
    ...(encryption && { encryption }),
  };
}

function parseSubnetOf(value: unknown, path: string): NetworkSubnet {
  const json = asObject(value, path);
  return {
    subnet: asString(json['subnet'], `${path}.subnet`),
    gateway: asString(json['gateway'], `${path}.gateway`),
  };
}

function parseNetworkKeys(value: unknown, path: string): NetworkKeys {
  const json = asObject(value, path);
  const range = { min: 0, max: 2 ** 24 - 1 };
  return {
    keys: asArray(json['keys'], `${path}.keys`, (each, at) => {
      const key = asObject(each, at);
      const secret = asString(key['secret'], `${at}.secret`, { lengthMax: 64 });
      if (!/^[0-9a-f]{64}$/.test(secret)) fail('invalid', `${at}.secret is no key`);
      return { id: asInteger(key['id'], `${at}.id`, range), secret };
    }),
    sendId: asInteger(json['sendId'], `${path}.sendId`, range),
  };
}

export function parseNetworkService(bytes: Uint8Array): NetworkServiceEntry {
  const json = decodeJson(bytes, 'service');
  const virtualAddress = optional(json['virtualAddress'], 'service.virtualAddress', asString);
  const affinity = optional(json['affinity'], 'service.affinity', asAffinity);
  return {
    networkId: asString(json['networkId'], 'service.networkId'),
    serviceId: asString(json['serviceId'], 'service.serviceId'),
    name: asString(json['name'], 'service.name'),
    aliases: asArray(json['aliases'], 'service.aliases', asString),
    ...(virtualAddress === undefined ? {} : { virtualAddress }),
    ...(affinity && { affinity }),
  };
}

export function parseEndpoint(bytes: Uint8Array): EndpointEntry {
  const json = decodeJson(bytes, 'endpoint');
  const aliases = optional(json['aliases'], 'endpoint.aliases', (value, path) => asArray(value, path, asString));
  const nodeMeans = optional(json['nodeMeans'], 'endpoint.nodeMeans', parseMeans);
  const nodeLife = optional(json['nodeLife'], 'endpoint.nodeLife', parseLife);
  const nodeWireguardPort = optional(json['nodeWireguardPort'], 'endpoint.nodeWireguardPort', asWireguardPort);
  return {
    networkId: asString(json['networkId'], 'endpoint.networkId'),
    taskId: asString(json['taskId'], 'endpoint.taskId'),
    serviceId: asString(json['serviceId'], 'endpoint.serviceId'),
    address: asString(json['address'], 'endpoint.address'),
    nodeId: asString(json['nodeId'], 'endpoint.nodeId'),
    nodeAddress: asString(json['nodeAddress'], 'endpoint.nodeAddress'),
    nodePort: asInteger(json['nodePort'], 'endpoint.nodePort', { min: 0, max: 65_535 }),
    ready: asBoolean(json['ready'], 'endpoint.ready'),
    lost: asBoolean(json['lost'], 'endpoint.lost'),
    name: asString(json['name'], 'endpoint.name'),
    ...(aliases && { aliases }),
    ...(nodeMeans && { nodeMeans }),
    ...(nodeLife !== undefined && { nodeLife }),
    ...(nodeWireguardPort !== undefined && { nodeWireguardPort }),
  };
}

const MEANS: readonly EncryptionMeans[] = ['esp', 'wireguard', 'tunnel'];

/** Each once; what only a later version knows is left out. */
function parseMeans(value: unknown, path: string): EncryptionMeans[] {
  const said = new Set(asArray(value, path, asString));
  return MEANS.filter((means) => said.has(means));
}

/** Of networks that one node is on; they are stored with its description. */
const NETWORKS_MAX = 1_024;

/** Something for each network, by its id. */
function parseByNetwork<T>(
  value: unknown,
  path: string,
  parse: (value: unknown, path: string) => T,
): Readonly<Record<string, T>> {
  const found = asMap(value, path, parse);
  const ids = Object.keys(found);
  if (ids.length > NETWORKS_MAX) return fail('invalid', `${path} has more than ${NETWORKS_MAX} entries`);
  const strange = ids.find((id) => !/^[0-9a-z]{1,64}$/.test(id));
  return strange === undefined
    ? found
    : fail('invalid', `${path} names ${JSON.stringify(strange)}, which is no network`);
}

const parseLives = (value: unknown, path: string): Readonly<Record<string, string>> =>
  parseByNetwork(value, path, parseLife);

const parseWireguardPorts = (value: unknown, path: string): Readonly<Record<string, number>> =>
  parseByNetwork(value, path, asWireguardPort);

/** Three more are above it. */
const asWireguardPort = (value: unknown, path: string): number => asInteger(value, path, { min: 1, max: 65_532 });

function parseLife(value: unknown, path: string): string {
  const life = asString(value, path, { lengthMax: 32 });
  return /^[0-9a-f]{32}$/.test(life) ? life : fail('invalid', `${path} is no life: 32 hex digits`);
}

export function parseGuestRequests(bytes: Uint8Array): GuestRequest[] {
  return asArray(decodeJson(bytes, 'guests')['guests'], 'guests', (value, path) => {
    const guest = asObject(value, path);
    return {
      containerId: asString(guest['containerId'], `${path}.containerId`, { lengthMax: 64 }),
      network: asString(guest['network'], `${path}.network`, { lengthMax: MESSAGE_LENGTH_MAX }),
      name: asString(guest['name'], `${path}.name`, { lengthMax: MESSAGE_LENGTH_MAX }),
      aliases: asArray(guest['aliases'], `${path}.aliases`, asString),
      address: asString(guest['address'], `${path}.address`, { lengthMax: 64 }),
      ...(guest['probe'] === true && { probe: true }),
    };
  });
}

export function parseGuestPlaces(bytes: Uint8Array): GuestPlace[] {
  return asArray(decodeJson(bytes, 'places')['places'], 'places', (value, path) => {
    const place = asObject(value, path);
    const refusal = optional(place['refusal'], `${path}.refusal`, asObject);
    return {
      containerId: asString(place['containerId'], `${path}.containerId`),
      network: asString(place['network'], `${path}.network`),
      networkId: asString(place['networkId'], `${path}.networkId`),
      address: asString(place['address'], `${path}.address`),
      ...(refusal && {
        refusal: {
          code: asString(refusal['code'], `${path}.refusal.code`),
          reason: asString(refusal['reason'], `${path}.refusal.reason`),
        },
      }),
    };
  });
}

export function parseStatus(bytes: Uint8Array): TaskStatus {
  if (bytes.length > STATUS_BYTES_MAX) fail('invalid', `a task status is longer than ${STATUS_BYTES_MAX} bytes`);
  return parseStatusJson(decodeJson(bytes, 'status'));
}

function parseStatusJson(json: Json): TaskStatus {
  const text = (value: unknown, path: string): string => asString(value, path, { lengthMax: MESSAGE_LENGTH_MAX });
  const error = optional(json['error'], 'status.error', text);
  const containerId = optional(json['containerId'], 'status.containerId', text);
  const pid = optional(json['pid'], 'status.pid', asInteger);
  const exitCode = optional(json['exitCode'], 'status.exitCode', asInteger);
  const ports = optional(json['ports'], 'status.ports', (value, path) => asArray(value, path, parsePort));
  return {
    state: asOneOf(json['state'], 'status.state', Object.keys(TASK_STATE) as (keyof typeof TASK_STATE)[]),
    atMs: asNumber(json['atMs'], 'status.atMs', { min: 0 }),
    message: text(json['message'], 'status.message'),
    ...(error === undefined ? {} : { error }),
    ...(containerId === undefined ? {} : { containerId }),
    ...(pid === undefined ? {} : { pid }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(ports === undefined ? {} : { ports }),
  };
}

function parsePort(value: unknown, path: string): PortConfig {
  const json = asObject(value, path);
  const port = { min: 0, max: 65_535 };
  const name = optional(json['name'], `${path}.name`, asString);
  return {
    protocol: asOneOf(json['protocol'], `${path}.protocol`, ['tcp', 'udp', 'sctp']),
    targetPort: asInteger(json['targetPort'], `${path}.targetPort`, port),
    publishedPort: asInteger(json['publishedPort'], `${path}.publishedPort`, port),
    publishMode: asOneOf(json['publishMode'], `${path}.publishMode`, ['ingress', 'host']),
    ...(name === undefined ? {} : { name }),
  };
}

export function parseDescription(bytes: Uint8Array): NodeDescription {
  const json = decodeJson(bytes, 'description');
  const platform = asObject(json['platform'], 'description.platform');
  const resources = asObject(json['resources'], 'description.resources');
  const engine = asObject(json['engine'], 'description.engine');
  const wayPort = optional(json['wayPort'], 'description.wayPort', asWayPort);
  const encryption = optional(json['encryption'], 'description.encryption', parseMeans);
  const lives = optional(json['lives'], 'description.lives', parseLives);
  const wireguardPorts = optional(json['wireguardPorts'], 'description.wireguardPorts', parseWireguardPorts);
  return {
    hostname: asString(json['hostname'], 'description.hostname', { lengthMax: 253 }),
    platform: {
      os: asString(platform['os'], 'description.platform.os'),
      architecture: asString(platform['architecture'], 'description.platform.architecture'),
    },
    resources: {
      nanoCpus: asNumber(resources['nanoCpus'], 'description.resources.nanoCpus', { min: 0 }),
      memoryBytes: asNumber(resources['memoryBytes'], 'description.resources.memoryBytes', { min: 0 }),
    },
    engine: {
      version: asString(engine['version'], 'description.engine.version'),
      labels: asMap(engine['labels'], 'description.engine.labels', asString),
      plugins: asArray(engine['plugins'], 'description.engine.plugins', (value, path) => {
        const plugin = asObject(value, path);
        return { type: asString(plugin['type'], `${path}.type`), name: asString(plugin['name'], `${path}.name`) };
      }),
    },
    ...(wayPort !== undefined && { wayPort }),
    ...(encryption && { encryption }),
    ...(lives && { lives }),
    ...(wireguardPorts && { wireguardPorts }),
  };
}
