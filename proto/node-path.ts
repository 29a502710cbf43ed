// How a node finds its way to another one, as `shoal network doctor` shows it.
export interface NodePath {
  readonly address: string;
  /** `silent`: it has never answered, as where a firewall swallows the question: nothing follows from that. */
  readonly state: 'reached' | 'suspected' | 'silent';
  /** Of the last answer; absent: there was none. */
  readonly roundTripMs?: number;
  /** Questions without an answer since. */
  readonly missed: number;
}
