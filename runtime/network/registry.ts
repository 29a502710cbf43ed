// The networks that exist, durable. One JSON file, replaced whole; `format` says how to read it.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/files.ts';
import {
  asArray,
  asBoolean,
  asInteger,
  asMap,
  asObject,
  asOneOf,
  asString,
  optional,
  parseJson,
} from '../../base/parse.ts';

const FORMAT = 1;

/** A subnet of a network. '' and {}: not asked for. */
export interface PoolRecord {
  readonly subnet: string;
  readonly gateway: string;
  readonly range: string;
  readonly auxiliary: Readonly<Record<string, string>>;
}

export function poolsOf({ pools, bridge }: NetworkRecord): readonly PoolRecord[] {
  return pools ?? (bridge ? [{ subnet: bridge.subnet, gateway: bridge.gateway, range: '', auxiliary: {} }] : []);
}

/** How containers stand in the network of another link. `mode`: of a macvlan; of an ipvlan its flag. */
export interface LanRecord {
  readonly kind: 'macvlan' | 'ipvlan';
  readonly mode: string;
  /** What we made to be the parent; '': it was there. */
  readonly made: '' | 'pair' | 'vlan';
}

export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  readonly driver: 'bridge' | 'host' | 'null' | 'overlay' | 'macvlan' | 'ipvlan';
  readonly createdAtMs: number;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** With the first subnet; `pools` has all of them. */
  readonly bridge?: { readonly name: string; readonly subnet: string; readonly gateway: string };
  /** The link that `bridge` names is none of ours but the parent of the containers' links. */
  readonly lan?: LanRecord;
  /** Absent: the bridge's subnet, whole. */
  readonly pools?: readonly PoolRecord[];
  /** With IPv6: its subnets. Absent: without. */
  readonly pools6?: readonly PoolRecord[];
  /** Of a network between nodes: its number on the wire, and the port. */
  readonly overlay?: { readonly vni: number; readonly port: number };
}

/** Settings of the host as they were before we changed them, and in which namespace that was. */
export interface HostRecord {
  readonly namespace: string;
  readonly sysctls: Readonly<Record<string, string>>;
}

export interface Registry {
  readonly networks: readonly NetworkRecord[];
  readonly host: HostRecord | undefined;
}

export class RegistryFile {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async load(): Promise<Registry> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await checkFormat(join(this.#directory, 'format'));
    const text = await readIfThere(this.#path());
    return text === undefined ? { networks: [], host: undefined } : parseRegistry(text);
  }

  async save(registry: Registry): Promise<void> {
    await writeFileAtomic(this.#path(), `${JSON.stringify(registry, undefined, 1)}\n`);
  }

  #path(): string {
    return join(this.#directory, 'networks.json');
  }
}

async function checkFormat(path: string): Promise<void> {
  const text = await readIfThere(path);
  if (text === undefined) return await writeFileAtomic(path, `${FORMAT}\n`);
  const format = asInteger(Number(text.trim()), path, { min: 1 });
  if (format > FORMAT) {
    throw new CodedError(
      'invalid',
      `${path} is format ${format}, written by a newer version; this one reads up to ${FORMAT}`,
    );
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function parseRegistry(text: string): Registry {
  const root = asObject(parseJson(text, 'networks.json'), 'networks.json');
  return {
    networks: asArray(root['networks'], 'networks', parseNetwork),
    host: optional(root['host'], 'host', parseHost),
  };
}

function parseHost(value: unknown, path: string): HostRecord {
  const host = asObject(value, path);
  return {
    namespace: asString(host['namespace'], `${path}.namespace`),
    sysctls: asMap(host['sysctls'], `${path}.sysctls`, asString),
  };
}

function parseNetwork(value: unknown, path: string): NetworkRecord {
  const network = asObject(value, path);
  const bridge = optional(network['bridge'], `${path}.bridge`, (inner, at) => {
    const fields = asObject(inner, at);
    return {
      name: asString(fields['name'], `${at}.name`),
      subnet: asString(fields['subnet'], `${at}.subnet`),
      gateway: asString(fields['gateway'], `${at}.gateway`),
    };
  });
  const lan = optional(network['lan'], `${path}.lan`, parseLan);
  const pools = optional(network['pools'], `${path}.pools`, (inner, at) => asArray(inner, at, parsePool));
  const pools6 = optional(network['pools6'], `${path}.pools6`, (inner, at) => asArray(inner, at, parsePool));
  const overlay = optional(network['overlay'], `${path}.overlay`, (inner, at) => {
    const fields = asObject(inner, at);
    return { vni: asInteger(fields['vni'], `${at}.vni`), port: asInteger(fields['port'], `${at}.port`) };
  });
  return {
    id: asString(network['id'], `${path}.id`),
    name: asString(network['name'], `${path}.name`),
    driver: asOneOf(network['driver'], `${path}.driver`, ['bridge', 'host', 'null', 'overlay', 'macvlan', 'ipvlan']),
    createdAtMs: asInteger(network['createdAtMs'], `${path}.createdAtMs`),
    internal: asBoolean(network['internal'], `${path}.internal`),
    attachable: asBoolean(network['attachable'], `${path}.attachable`),
    labels: asMap(network['labels'], `${path}.labels`, asString),
    options: asMap(network['options'], `${path}.options`, asString),
    ...(bridge ? { bridge } : {}),
    ...(lan ? { lan } : {}),
    ...(pools ? { pools } : {}),
    ...(pools6 ? { pools6 } : {}),
    ...(overlay ? { overlay } : {}),
  };
}

function parseLan(value: unknown, path: string): LanRecord {
  const lan = asObject(value, path);
  return {
    kind: asOneOf(lan['kind'], `${path}.kind`, ['macvlan', 'ipvlan']),
    mode: asString(lan['mode'], `${path}.mode`),
    made: asOneOf(lan['made'], `${path}.made`, ['', 'pair', 'vlan']),
  };
}

function parsePool(value: unknown, path: string): PoolRecord {
  const pool = asObject(value, path);
  return {
    subnet: asString(pool['subnet'], `${path}.subnet`),
    gateway: asString(pool['gateway'], `${path}.gateway`),
    range: asString(pool['range'], `${path}.range`),
    auxiliary: asMap(pool['auxiliary'], `${path}.auxiliary`, asString),
  };
}
