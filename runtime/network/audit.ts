// Compares what the kernel has with what it should have, and repairs the difference.
import { formatIp } from './addresses.ts';
import { ensureBridge, type KernelView, missingGateways, viewKernel } from './bridges.ts';
import type { Endpoints } from './endpoints.ts';
import type { Firewall } from './firewall.ts';
import type { Instance } from './instance.ts';
import { ensureParent } from './lan.ts';
import type { Netd } from './netd.ts';
import type { NetworkState } from './network-table.ts';
import type { MachineOverlays } from './overlays.ts';
import type { Ways } from './ways.ts';

/** What may be wrong; repairs are counted by it. */
export type Cause = 'bridge' | 'link' | 'rules' | 'overlay' | 'ways';

/** Something in the kernel that is not as the records have it. */
export interface Finding {
  readonly cause: Cause;
  readonly sentence: string;
  readonly repair: () => Promise<unknown>;
}

export interface AuditReport {
  /** A sentence for each thing that was wrong and was put right. */
  readonly repairs: readonly string[];
  /** And for each that could not be. */
  readonly failures: readonly string[];
}

export interface AuditParts {
  readonly netd: Netd;
  readonly instance: Instance;
  readonly networks: readonly NetworkState[];
  readonly endpoints: Endpoints;
  readonly firewall: Firewall;
  readonly overlays: MachineOverlays;
  readonly ways: Ways;
}

/** Every difference there is now; nothing is changed. */
export async function findDifferences(parts: AuditParts): Promise<readonly Finding[]> {
  const view = await viewKernel(parts.netd);
  const overlays = (await parts.overlays.differences()).map(
    (sentence): Finding => ({ cause: 'overlay', sentence, repair: () => parts.overlays.audit() }),
  );
  const ways = (await parts.ways.differences()).map(
    (sentence): Finding => ({ cause: 'ways', sentence, repair: () => parts.ways.audit() }),
  );
  return [
    ...ways,
    ...bridgeFindings(parts, view),
    ...endpointFindings(parts, view),
    ...(await ruleFindings(parts)),
    ...overlays,
  ];
}

/** Repairs what is found; `repaired` hears of each. */
export async function auditKernel(parts: AuditParts, repaired: (cause: Cause) => void): Promise<AuditReport> {
  const repairs: string[] = [];
  const failures: string[] = [];
  const mend = async (findings: readonly Finding[]): Promise<void> => {
    for (const { cause, sentence, repair } of findings) {
      try {
        await repair();
        repairs.push(sentence);
        repaired(cause);
      } catch (error) {
        failures.push(`${sentence}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  const view = await viewKernel(parts.netd);
  const bridges = bridgeFindings(parts, view);
  await mend(bridges);
  // A bridge that was gone took its ports with it.
  await mend(endpointFindings(parts, bridges.length > 0 ? await viewKernel(parts.netd) : view));
  for (const sentence of await parts.ways.audit()) {
    repaired('ways');
    repairs.push(sentence);
  }
  await mend(await ruleFindings(parts));
  for (const sentence of await parts.overlays.audit()) {
    repaired('overlay');
    repairs.push(sentence);
  }
  return { repairs, failures };
}

/** All rules are replaced in one go, whatever differs. */
async function ruleFindings({ firewall }: AuditParts): Promise<Finding[]> {
  const differences = await firewall.differences();
  return differences.map((sentence, index) => ({
    cause: 'rules',
    sentence,
    repair: index === 0 ? () => firewall.rebuild() : () => Promise.resolve(),
  }));
}

function bridgeFindings({ netd, instance, networks, endpoints }: AuditParts, view: KernelView): Finding[] {
  const findings: Finding[] = [];
  for (const state of networks) {
    const { bridge, overlay } = state;
    if (bridge && state.record.lan) findings.push(...parentFindings(netd, instance, endpoints, state, view));
    const wrong = bridge && !overlay && !state.record.lan && bridgeFault(state, view);
    if (!bridge || !wrong) continue;
    const repair = async (): Promise<void> => {
      state.bridgeIndex = await ensureBridge(netd, bridge, instance);
    };
    findings.push({ cause: 'bridge', sentence: `bridge ${bridge.name} ${wrong}`, repair });
  }
  return findings;
}

/** The kernel takes the containers' links with their parent. */
function parentFindings(
  netd: Netd,
  instance: Instance,
  endpoints: Endpoints,
  state: NetworkState,
  view: KernelView,
): Finding[] {
  const { bridge, record } = state;
  const { lan } = record;
  const link = view.links.find((candidate) => candidate.name === bridge?.name);
  if (!bridge || !lan || (link?.index === state.bridgeIndex && (link.up || lan.made === ''))) return [];
  const repair = async (): Promise<void> => {
    const { index } = await ensureParent(netd, bridge, lan, instance);
    const isNew = index !== state.bridgeIndex;
    state.bridgeIndex = index;
    if (!isNew) return;
    for (const each of state.endpoints.values()) await endpoints.rewire(state, each);
  };
  const wrong = link ? 'was down or made anew by somebody' : 'was gone';
  return [{ cause: 'link', sentence: `parent ${bridge.name} of network ${record.name} ${wrong}`, repair }];
}

function bridgeFault({ bridge, bridgeIndex }: NetworkState, view: KernelView): string | undefined {
  const link = view.links.find((candidate) => candidate.name === bridge?.name);
  if (!bridge) return undefined;
  if (!link) return 'was gone';
  if (link.index !== bridgeIndex) return 'was made anew by somebody';
  if (!link.up) return 'was down';
  const [missing] = missingGateways(bridge, link.index, view);
  return missing && `had lost its address ${formatIp(missing.address)}`;
}

function endpointFindings({ networks, endpoints }: AuditParts, view: KernelView): Finding[] {
  const findings: Finding[] = [];
  const links = new Map(view.links.map((link) => [link.name, link]));
  for (const network of networks) {
    if (network.overlay) continue; // its links are in another namespace
    for (const state of network.endpoints.values()) {
      const { endpoint } = state;
      if (endpoint.hostInterfaceName === '') continue;
      const link = links.get(endpoint.hostInterfaceName);
      const name = `link ${endpoint.hostInterfaceName} of container ${endpoint.containerId.slice(0, 12)}`;
      if (!link) {
        findings.push({ cause: 'link', sentence: `${name} was gone`, repair: () => endpoints.rewire(network, state) });
      } else if (link.master !== network.bridgeIndex || !link.up) {
        findings.push({
          cause: 'link',
          sentence: `${name} was off its bridge`,
          repair: () => endpoints.reattach(network, state),
        });
      }
    }
  }
  return findings;
}
