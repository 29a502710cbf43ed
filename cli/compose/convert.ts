// A service of a compose file as the Engine API's service specification. Pure.
import { fail } from '../../base/errors.ts';
import { asArray, asInteger, asObject, asString, type Json, optional } from '../../base/parse.ts';
import type { PortJson, ServiceSpecJson } from '../wire.ts';
import { bytes, nanoCpus, nanoseconds, scalar } from './units.ts';

const LABEL_STACK = 'com.docker.stack.namespace';
const LABEL_IMAGE = 'com.docker.stack.image';
export const stackLabel = (stack: string): string => `${LABEL_STACK}=${stack}`;

/** `networks`: name in the file → name on the nodes. */
export function convertService(
  stack: string,
  name: string,
  service: Json,
  networks: ReadonlyMap<string, string>,
): ServiceSpecJson {
  const path = `services.${name}`;
  const deploy = asObject(service['deploy'] ?? {}, `${path}.deploy`);
  const image = asString(service['image'] ?? fail('invalid', `${path} needs an image`), `${path}.image`);
  const labels = { ...pairs(deploy['labels'], `${path}.deploy.labels`), [LABEL_IMAGE]: image, [LABEL_STACK]: stack };
  return prune({
    Name: `${stack}_${name}`,
    Labels: labels,
    TaskTemplate: {
      ContainerSpec: containerSpec(stack, image, service, path),
      Resources: resources(deploy, path),
      RestartPolicy: restartPolicy(deploy, path),
      Placement: placement(deploy, path),
      Networks: attachments(name, service, networks, path),
      LogDriver: logDriver(service, path),
      ForceUpdate: 0,
    },
    Mode: mode(deploy, path),
    UpdateConfig: updateConfig(deploy['update_config'], `${path}.deploy.update_config`),
    RollbackConfig: updateConfig(deploy['rollback_config'], `${path}.deploy.rollback_config`),
    EndpointSpec: {
      Mode: optional(deploy['endpoint_mode'], `${path}.deploy.endpoint_mode`, asString),
      Ports: asArray(service['ports'] ?? [], `${path}.ports`, (port, at) => parsePorts(port, at)).flat(),
    },
  }) as ServiceSpecJson;
}

function containerSpec(stack: string, image: string, service: Json, path: string): Json {
  const strings = (key: string): string[] | undefined => optional(service[key], `${path}.${key}`, stringList);
  const text = (key: string): string | undefined => optional(service[key], `${path}.${key}`, scalar);
  const dns = { Nameservers: strings('dns'), Search: strings('dns_search') };
  return {
    Image: image,
    Labels: { ...pairs(service['labels'], `${path}.labels`), [LABEL_STACK]: stack },
    Command: optional(service['entrypoint'], `${path}.entrypoint`, commandWords),
    Args: optional(service['command'], `${path}.command`, commandWords),
    Env: Object.entries(pairs(service['environment'], `${path}.environment`)).map(([key, value]) => `${key}=${value}`),
    Hostname: text('hostname'),
    User: text('user'),
    Dir: text('working_dir'),
    StopSignal: text('stop_signal'),
    StopGracePeriod: optional(service['stop_grace_period'], `${path}.stop_grace_period`, nanoseconds),
    ReadOnly: service['read_only'],
    Init: service['init'],
    TTY: service['tty'],
    OpenStdin: service['stdin_open'],
    CapabilityAdd: strings('cap_add'),
    CapabilityDrop: strings('cap_drop'),
    Hosts: hosts(service['extra_hosts'], `${path}.extra_hosts`),
    DNSConfig: dns.Nameservers || dns.Search ? dns : undefined,
    Sysctls: service['sysctls'] ? pairs(service['sysctls'], `${path}.sysctls`) : undefined,
    Healthcheck: optional(service['healthcheck'], `${path}.healthcheck`, healthCheck),
    Mounts: asArray(service['volumes'] ?? [], `${path}.volumes`, parseVolume),
  };
}

function healthCheck(value: unknown, path: string): Json {
  const check = asObject(value, path);
  if (check['disable'] === true) return { Test: ['NONE'] };
  const period = (key: string): number | undefined => optional(check[key], `${path}.${key}`, nanoseconds);
  const test = check['test'];
  return {
    Test: typeof test === 'string' ? ['CMD-SHELL', test] : optional(test, `${path}.test`, stringList),
    Interval: period('interval'),
    Timeout: period('timeout'),
    StartPeriod: period('start_period'),
    StartInterval: period('start_interval'),
    Retries: optional(check['retries'], `${path}.retries`, (count, at) => asInteger(count, at, { min: 0 })),
  };
}

function resources(deploy: Json, path: string): Json | undefined {
  const all = optional(deploy['resources'], `${path}.deploy.resources`, asObject);
  if (!all) return undefined;
  const part = (key: string): Json | undefined =>
    optional(all[key], `${path}.deploy.resources.${key}`, (value, at) => {
      const given = asObject(value, at);
      return {
        NanoCPUs: optional(given['cpus'], `${at}.cpus`, nanoCpus),
        MemoryBytes: optional(given['memory'], `${at}.memory`, bytes),
        Pids: given['pids'],
      };
    });
  return { Limits: part('limits'), Reservations: part('reservations') };
}

function restartPolicy(deploy: Json, path: string): Json | undefined {
  return optional(deploy['restart_policy'], `${path}.deploy.restart_policy`, (value, at) => {
    const policy = asObject(value, at);
    return {
      Condition: policy['condition'],
      Delay: optional(policy['delay'], `${at}.delay`, nanoseconds),
      MaxAttempts: policy['max_attempts'],
      Window: optional(policy['window'], `${at}.window`, nanoseconds),
    };
  });
}

function placement(deploy: Json, path: string): Json | undefined {
  return optional(deploy['placement'], `${path}.deploy.placement`, (value, at) => {
    const given = asObject(value, at);
    const preferences = asArray(given['preferences'] ?? [], `${at}.preferences`, asObject);
    return {
      Constraints: optional(given['constraints'], `${at}.constraints`, stringList),
      Preferences: preferences.map((preference) => ({ Spread: { SpreadDescriptor: preference['spread'] } })),
      MaxReplicas: given['max_replicas_per_node'],
    };
  });
}

function updateConfig(value: unknown, path: string): Json | undefined {
  return optional(value, path, (given, at) => {
    const config = asObject(given, at);
    return {
      Parallelism: config['parallelism'] ?? 1,
      Delay: optional(config['delay'], `${at}.delay`, nanoseconds),
      FailureAction: config['failure_action'],
      Monitor: optional(config['monitor'], `${at}.monitor`, nanoseconds),
      MaxFailureRatio: config['max_failure_ratio'],
      Order: config['order'],
    };
  });
}

function mode(deploy: Json, path: string): Json {
  const kind = deploy['mode'] ?? 'replicated';
  const replicas = optional(deploy['replicas'], `${path}.deploy.replicas`, (value, at) =>
    asInteger(value, at, { min: 0 }),
  );
  if (kind === 'global') {
    if (replicas !== undefined) fail('invalid', `${path}.deploy: replicas can only be used with replicated mode`);
    return { Global: {} };
  }
  if (kind !== 'replicated')
    fail('not-implemented', `${path}.deploy.mode '${scalar(kind, path)}' is not supported yet`);
  return { Replicated: { Replicas: replicas ?? 1 } };
}

function attachments(name: string, service: Json, networks: ReadonlyMap<string, string>, path: string): unknown[] {
  const given = service['networks'] ?? ['default'];
  const names = Array.isArray(given) ? given.map(String) : Object.keys(asObject(given, `${path}.networks`));
  return names.map((key) => {
    const target = networks.get(key) ?? fail('invalid', `${path}.networks: network '${key}' is not declared`);
    return { Target: target, Aliases: [name] };
  });
}

function logDriver(service: Json, path: string): Json | undefined {
  return optional(service['logging'], `${path}.logging`, (value, at) => {
    const logging = asObject(value, at);
    return { Name: logging['driver'], Options: logging['options'] };
  });
}

/** `8080:80`, `127.0.0.1:8080:80/udp` (the address is ignored by services), `80`, or the long form. */
export function parsePorts(value: unknown, path: string): PortJson[] {
  if (typeof value === 'object' && value !== null) {
    const port = asObject(value, path);
    return [
      {
        Protocol: asString(port['protocol'] ?? 'tcp', path),
        TargetPort: asInteger(port['target'], `${path}.target`, { min: 1, max: 65_535 }),
        PublishedPort: Number(port['published'] ?? 0),
        PublishMode: asString(port['mode'] ?? 'ingress', path),
      },
    ];
  }
  const match = /^(?:(?:[\d.]+:)?(\d+)(?:-(\d+))?:)?(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/.exec(String(value));
  const [published, target] = [Number(match?.[1] ?? 0), Number(match?.[3])];
  const count = (match?.[4] ? Number(match[4]) : target) - target;
  if (!match || (match[1] && (match[2] ? Number(match[2]) : published) - published !== count) || count < 0) {
    fail('invalid', `${path}: '${String(value)}' is not a port such as 8080:80 or 8000-8002:80-82/udp`);
  }
  return Array.from({ length: count + 1 }, (_, index) => ({
    Protocol: match[5] ?? 'tcp',
    TargetPort: target + index,
    PublishedPort: published === 0 ? 0 : published + index,
    PublishMode: 'ingress',
  }));
}

function parseVolume(value: unknown, path: string): Json {
  if (typeof value === 'object' && value !== null) {
    const volume = asObject(value, path);
    return {
      Type: volume['type'] ?? 'volume',
      Source: volume['source'],
      Target: volume['target'],
      ReadOnly: volume['read_only'],
    };
  }
  const [source = '', target = '', ...options] = asString(value, path).split(':');
  if (target === '') return { Type: 'volume', Target: source };
  return {
    Type: source.startsWith('/') ? 'bind' : 'volume',
    Source: source,
    Target: target,
    ReadOnly: options.includes('ro'),
  };
}

const stringList = (value: unknown, path: string): string[] =>
  typeof value === 'string' ? [value] : asArray(value, path, scalar);

/** A text is split into words as a shell does, without expansion. */
function commandWords(value: unknown, path: string): string[] {
  if (typeof value !== 'string') return asArray(value, path, scalar);
  const words = value.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''),
  );
}

/** A map, or a list of KEY=value; a key without a value is empty. */
function pairs(value: unknown, path: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!Array.isArray(value)) {
    return Object.fromEntries(
      Object.entries(asObject(value, path)).map(([key, item]) => [
        key,
        item === null ? '' : scalar(item, `${path}.${key}`),
      ]),
    );
  }
  return Object.fromEntries(
    value.map((entry) => {
      const [key = '', ...rest] = String(entry).split('=');
      return [key, rest.join('=')];
    }),
  );
}

/** `name:address` or {name: address} → `address name`, as /etc/hosts has it. */
function hosts(value: unknown, path: string): string[] | undefined {
  return optional(value, path, (given, at) => {
    const entries = Array.isArray(given)
      ? given.map(
          (line) =>
            /^([^:=]+)[:=](.+)$/.exec(String(line))?.slice(1) ??
            fail('invalid', `${at}: '${String(line)}' must be name:address`),
        )
      : Object.entries(asObject(given, at));
    return entries.map(([name, address]) => `${String(address)} ${String(name)}`);
  });
}

/** Leaves out what is undefined, at every depth. */
function prune(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(prune);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .map(([key, item]) => [key, prune(item)]),
  );
}
