// A cluster of two nodes in which every task runs at once: what clients poll converges without waiting.
import type { Id } from '../../../base/id.ts';
import { fail } from '../../../base/errors.ts';
import type { ManagerState, PublicCluster } from '../../../proto/control.ts';
import { DEFAULT_CLUSTER_SPEC } from '../../../proto/defaults.ts';
import type { Node, NodeRole, Service, ServiceSpec, Task } from '../../../proto/objects.ts';
import { NOW_MS } from './fake-containers.ts';
import type { FakeSwarm } from './fake-swarm.ts';

const id = <K extends string>(letter: string): Id<K> => letter.repeat(25) as Id<K>;
export const NODE_1 = id<'node'>('1');
export const NODE_2 = id<'node'>('2');

const meta = { version: 7, createdAtMs: NOW_MS - 60_000, updatedAtMs: NOW_MS - 30_000 };

function aNode(nodeId: Id<'node'>, hostname: string, role: NodeRole): Node {
  const addresses = { joinAddress: '10.0.0.1:2377', controlAddress: '10.0.0.1:2378', raftAddress: '10.0.0.1:2379' };
  return {
    ...meta,
    id: nodeId,
    spec: { name: '', labels: {}, role, availability: 'active' },
    role,
    description: {
      hostname,
      platform: { os: 'linux', architecture: 'x86_64' },
      resources: { nanoCpus: 2e9, memoryBytes: 4e9 },
      engine: { version: '0.1.0', labels: {}, plugins: [{ type: 'Network', name: 'bridge' }] },
    },
    status: { state: 'ready', message: '', address: '10.0.0.1', sinceMs: NOW_MS },
    ...(role === 'manager' ? { manager: addresses } : {}),
  };
}

export class FakeCluster {
  readonly services = new Map<string, Service>();
  tasks: Task[] = [];
  nodes: Node[] = [aNode(NODE_1, 'node1', 'manager'), aNode(NODE_2, 'node2', 'worker')];
  cluster: PublicCluster = {
    ...meta,
    id: id('c'),
    spec: DEFAULT_CLUSTER_SPEC,
    formatVersion: 1,
    rootCertificates: [],
    tokens: { worker: 'SWMTKN-1-worker', manager: 'SWMTKN-1-manager' },
  };
  #version = 100;

  constructor(swarm: FakeSwarm) {
    swarm.current = {
      state: 'active',
      nodeId: NODE_1,
      nodeAddress: '10.0.0.1',
      controlAvailable: true,
      error: '',
      remoteManagers: [{ nodeId: NODE_1, address: '10.0.0.1:2377' }],
    };
    const { answers } = swarm.cluster;
    answers.GetCluster = () => ({ cluster: this.cluster, managers: this.#managers(), nodesTotal: this.nodes.length });
    answers.ListNodes = () => ({ nodes: this.nodes, managers: this.#managers() });
    answers.GetNode = ({ node }) => this.#nodeReply(node);
    answers.UpdateNode = ({ node, spec }) => {
      this.nodes = this.nodes.map((each) => (each.id === node ? { ...each, spec } : each));
      return this.#nodeReply(node);
    };
    answers.ListNetworks = () => ({ networks: [] });
    answers.CreateService = ({ spec }) => ({ service: this.#put(id<'service'>('s'), spec), warnings: [] });
    answers.GetService = ({ service }) => ({ service: this.#service(service) });
    answers.ListServices = ({ status }) => ({
      services: [...this.services.values()],
      status: status ? Object.fromEntries([...this.services.keys()].map((key) => [key, this.#status(key)])) : {},
    });
    answers.UpdateService = (request) => {
      const present = this.#service(request.service);
      if (present.version !== request.version) fail('out-of-sequence', 'update out of sequence');
      const spec =
        request.rollback === 'previous' ? (present.previousSpec ?? fail('invalid', 'no previous spec')) : request.spec;
      return { service: this.#put(present.id, spec, present), warnings: [] };
    };
    answers.RemoveService = ({ service }) => {
      this.services.delete(this.#service(service).id);
      this.tasks = [];
      return {};
    };
    answers.ListTasks = ({ filter }) => ({
      tasks: this.tasks.filter((task) =>
        (filter.services ?? []).every((service) =>
          [task.serviceId, task.serviceName].includes(service as Task['serviceId']),
        ),
      ),
    });
    answers.GetTask = ({ task }) => ({
      task: this.tasks.find((each) => each.id === task) ?? fail('not-found', `task ${task} not found`),
    });
  }

  #put(serviceId: Id<'service'>, spec: ServiceSpec, previous?: Service): Service {
    const version = ++this.#version;
    const service: Service = {
      ...meta,
      version,
      id: serviceId,
      spec,
      specVersion: version,
      ...(spec.endpoint.ports.length > 0 ? { endpointPorts: spec.endpoint.ports } : {}),
      ...(previous
        ? {
            previousSpec: previous.spec,
            updateStatus: {
              state: 'completed',
              startedAtMs: NOW_MS,
              completedAtMs: NOW_MS,
              message: 'update completed',
            },
          }
        : {}),
    };
    this.services.set(serviceId, service);
    const replicas = spec.mode.kind === 'replicated' ? spec.mode.replicas : 2;
    this.tasks = Array.from({ length: replicas }, (_, i) => this.#task(service, i + 1));
    return service;
  }

  #task(service: Service, slot: number): Task {
    return {
      ...meta,
      id: `${slot}`.padStart(25, 't') as Task['id'],
      serviceId: service.id,
      serviceName: service.spec.name,
      serviceLabels: {},
      identity: { kind: 'slot', slot },
      nodeId: slot % 2 === 1 ? NODE_1 : NODE_2,
      spec: service.spec.task,
      specVersion: service.specVersion,
      desired: 'running',
      status: { state: 'running', atMs: NOW_MS, message: 'started', containerId: 'a'.repeat(64), pid: 1, exitCode: 0 },
      ports: [],
    };
  }

  #service(reference: string): Service {
    const found = [...this.services.values()].find(({ id, spec }) => id === reference || spec.name === reference);
    return found ?? fail('not-found', `service ${reference} not found`);
  }

  #status(serviceId: string) {
    const count = this.tasks.filter((task) => task.serviceId === serviceId).length;
    return { runningTasks: count, desiredTasks: count, completedTasks: 0 };
  }

  #nodeReply(reference: string) {
    const node = this.nodes.find((each) => each.id === reference || each.description?.hostname === reference);
    if (!node) return fail('not-found', `node ${reference} not found`);
    const manager = this.#managers().find((each) => each.nodeId === node.id);
    return { node, ...(manager ? { manager } : {}) };
  }

  #managers(): ManagerState[] {
    return this.nodes.flatMap(({ id, manager }) =>
      manager ? [{ nodeId: id, leader: true, reachable: true, addresses: manager }] : [],
    );
  }
}
