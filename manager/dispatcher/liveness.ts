// Which nodes are silent for too long? Pure; the leader keeps one and asks it every few hundred milliseconds.
// Time is monotonic. A new leader starts every count anew: it has not listened before.
export interface LivenessPolicy {
  readonly downAfterMs: number;
}

interface Heard {
  readonly atMs: number;
}

/** At this share of silent nodes the fault is looked for here first … */
const MASS_SHARE = 1 / 5;
/** … in clusters of at least this size … */
const MASS_NODES_MIN = 5;
/** … and for this long, in multiples of `downAfterMs`: a rack may have died after all. */
const MASS_PATIENCE = 3;

/** At this share of `downAfterMs` a node is suspected: a beat is overdue. */
const SUSPECT_SHARE = 0.6;

export interface Verdict {
  readonly down: readonly string[];
  /** Silent, but not for long enough to be given up. */
  readonly suspected: readonly string[];
  /** Silent nodes that are not given up yet because too many fell silent at once. */
  readonly spared: readonly string[];
}

export class Liveness {
  readonly #heard = new Map<string, Heard>();

  hear(nodeId: string, atMs: number): void {
    const before = this.#heard.get(nodeId);
    if (!before || before.atMs < atMs) this.#heard.set(nodeId, { atMs });
  }

  forget(nodeId: string): void {
    this.#heard.delete(nodeId);
  }

  /** Counts of all start anew: nobody was listening until now. */
  restart(nodeIds: Iterable<string>, nowMs: number): void {
    this.#heard.clear();
    for (const nodeId of nodeIds) this.#heard.set(nodeId, { atMs: nowMs });
  }

  silentMs(nodeId: string, nowMs: number): number {
    const heard = this.#heard.get(nodeId);
    return heard ? nowMs - heard.atMs : Number.POSITIVE_INFINITY;
  }

  /** Judges `nodeIds`, those not known to be down already. A node never heard of starts its count now. */
  judge(nodeIds: readonly string[], nowMs: number, { downAfterMs }: LivenessPolicy): Verdict {
    for (const nodeId of nodeIds) if (!this.#heard.has(nodeId)) this.hear(nodeId, nowMs);
    const silent = nodeIds.filter((nodeId) => this.silentMs(nodeId, nowMs) > downAfterMs);
    const mass = nodeIds.length >= MASS_NODES_MIN && silent.length > nodeIds.length * MASS_SHARE;
    const limitMs = mass ? downAfterMs * MASS_PATIENCE : downAfterMs;
    const down = silent.filter((nodeId) => this.silentMs(nodeId, nowMs) > limitMs);
    const late = nodeIds.filter((nodeId) => this.silentMs(nodeId, nowMs) > downAfterMs * SUSPECT_SHARE);
    const tooMany = nodeIds.length >= MASS_NODES_MIN && late.length > nodeIds.length * MASS_SHARE;
    return {
      down,
      suspected: tooMany ? [] : late.filter((nodeId) => !down.includes(nodeId)),
      spared: silent.filter((nodeId) => !down.includes(nodeId)),
    };
  }
}
