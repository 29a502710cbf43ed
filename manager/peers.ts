// Connections of this manager to the others, kept while their addresses stay as they are.
import type { Credentials } from '../proto/credentials.ts';
import type { OpenStreamInput } from '../proto/gen/shoal/dispatcher/v1/OpenStream.ts';
import type { NodeId } from '../proto/objects.ts';
import { Channel } from '../proto/rpc.ts';
import { Managers } from '../proto/services.ts';
import type { Store } from './store/contract.ts';

export interface PeersDeps {
  readonly nodeId: NodeId;
  readonly store: Store;
  readonly credentials: Credentials;
}

const KEEPALIVE = { 'grpc.keepalive_permit_without_calls': 1 } as const;
const ASK_WITHIN_MS = 1_000;

export class Peers implements Disposable {
  readonly #deps: PeersDeps;
  readonly #channels = new Map<NodeId, Channel>();

  constructor(deps: PeersDeps) {
    this.#deps = deps;
  }

  to(nodeId: NodeId): Channel | undefined {
    const address = this.#deps.store.view().nodes.get(nodeId)?.manager?.controlAddress;
    const known = this.#channels.get(nodeId);
    if (known?.address === address) return known;
    known?.[Symbol.dispose]();
    this.#channels.delete(nodeId);
    if (address === undefined) return undefined;
    const channel = new Channel(address, this.#deps.credentials.channelCredentials(), KEEPALIVE);
    this.#channels.set(nodeId, channel);
    return channel;
  }

  /** True if one of the other managers holds the node's session and has asked its agent. */
  async ask(nodeId: NodeId, open: OpenStreamInput, abort: AbortSignal): Promise<boolean> {
    const others = [...this.#deps.store.view().nodes.all()].filter(
      (node) => node.manager && node.id !== this.#deps.nodeId,
    );
    const answers = others.map(async ({ id }) => {
      const options = { withinMs: ASK_WITHIN_MS, abort };
      const reply = await this.to(id)?.call(Managers.AskForStream, { nodeId, open }, options);
      if (!reply?.asked) throw new Error('not there');
    });
    return await Promise.any(answers).then(
      () => true,
      () => false,
    );
  }

  [Symbol.dispose](): void {
    for (const channel of this.#channels.values()) channel[Symbol.dispose]();
    this.#channels.clear();
  }
}
