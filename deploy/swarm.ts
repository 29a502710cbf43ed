// Forming the swarm: the first node makes it, the others join it as managers. What is already a member is left alone.
import { askEngine } from './engine.ts';
import type { ClusterPlan, NodePlan } from './plan.ts';

const JOIN_PORT = 2377;

interface Membership {
  readonly node: NodePlan;
  readonly active: boolean;
}

export async function formSwarm(plan: ClusterPlan): Promise<void> {
  const members = await Promise.all(plan.nodes.map(membership));
  let first = members.find((member) => member.active)?.node;
  if (!first) {
    first = plan.nodes[0];
    if (!first) return;
    await askEngine(first.socket, 'POST', '/swarm/init', {
      json: { ListenAddr: `${first.address}:${JOIN_PORT}`, AdvertiseAddr: `${first.address}:${JOIN_PORT}`, Spec: {} },
    });
  }
  const missing = members.filter((member) => !member.active && member.node !== first);
  if (missing.length === 0) return;
  const token = await managerToken(first);
  const remote = `${first.address}:${JOIN_PORT}`;
  await Promise.all(missing.map(({ node }) => join(node, remote, token)));
}

async function membership(node: NodePlan): Promise<Membership> {
  const info = (await askEngine(node.socket, 'GET', '/info')) as { Swarm?: { LocalNodeState?: string } };
  return { node, active: (info.Swarm?.LocalNodeState ?? 'inactive') !== 'inactive' };
}

async function managerToken(node: NodePlan): Promise<string> {
  const swarm = (await askEngine(node.socket, 'GET', '/swarm')) as { JoinTokens: { Manager: string } };
  return swarm.JoinTokens.Manager;
}

async function join(node: NodePlan, remote: string, token: string): Promise<void> {
  const own = `${node.address}:${JOIN_PORT}`;
  await askEngine(node.socket, 'POST', '/swarm/join', {
    json: { ListenAddr: own, AdvertiseAddr: own, RemoteAddrs: [remote], JoinToken: token },
    timeoutMs: 60_000,
  });
}
