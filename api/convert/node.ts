// Nodes as the Engine API shows them, and the spec that `node update` sends.
import { asOneOf, type Json } from '../../base/parse.ts';
import type { ManagerState } from '../../proto/control.ts';
import type { Node, NodeSpec } from '../../proto/objects.ts';
import type { NodeJson, TlsInfo } from '../types/swarm.ts';
import { Fields } from './fields.ts';
import { goTime } from './time.ts';

export function nodeJson(node: Node, manager: ManagerState | undefined, tls: TlsInfo): NodeJson {
  const { spec, status } = node;
  return {
    ID: node.id,
    Version: { Index: node.version },
    CreatedAt: goTime(node.createdAtMs),
    UpdatedAt: goTime(node.updatedAtMs),
    Spec: {
      ...(spec.name === '' ? {} : { Name: spec.name }),
      Labels: { ...spec.labels },
      Role: spec.role,
      Availability: spec.availability,
    },
    Description: descriptionJson(node, tls),
    Status: {
      State: status.state,
      ...(status.message === '' ? {} : { Message: status.message }),
      Addr: status.address,
    },
    ...(manager ? { ManagerStatus: managerJson(manager) } : {}),
  };
}

function descriptionJson({ description }: Node, tls: TlsInfo): NodeJson['Description'] {
  const labels = description?.engine.labels ?? {};
  return {
    Hostname: description?.hostname ?? '',
    Platform: {
      Architecture: description?.platform.architecture ?? '',
      OS: description?.platform.os ?? '',
    },
    Resources: {
      NanoCPUs: description?.resources.nanoCpus ?? 0,
      MemoryBytes: description?.resources.memoryBytes ?? 0,
    },
    Engine: {
      EngineVersion: description?.engine.version ?? '',
      ...(Object.keys(labels).length > 0 ? { Labels: { ...labels } } : {}),
      Plugins: (description?.engine.plugins ?? []).map(({ type, name }) => ({ Type: type, Name: name })),
    },
    TLSInfo: tls,
  };
}

/** The address is the one a join command names. */
const managerJson = ({ leader, reachable, addresses }: ManagerState) => ({
  ...(leader ? { Leader: true } : {}),
  Reachability: reachable ? 'reachable' : 'unreachable',
  Addr: addresses.joinAddress,
});

export function parseNodeSpec(body: Json): NodeSpec {
  const spec = new Fields(body);
  return {
    name: spec.text('Name'),
    labels: spec.textMap('Labels'),
    role: asOneOf(spec.raw('Role'), 'Role', ['worker', 'manager']),
    availability: asOneOf(spec.raw('Availability'), 'Availability', ['active', 'pause', 'drain']),
  };
}
