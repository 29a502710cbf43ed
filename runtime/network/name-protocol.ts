// What the networks and the thread that answers names say to each other.
import type { Upstream } from './contract.ts';
import type { Scope } from './name-resolver.ts';
import type { NameChange } from './names.ts';

/** How the thread starts the process that opens its sockets. */
export interface NameWorkerData {
  readonly command: string;
  readonly args: readonly string[];
}

export type ToNameWorker =
  | { readonly do: 'names'; readonly changes: readonly NameChange[] }
  | { readonly do: 'upstreams'; readonly upstreams: readonly Upstream[] }
  /** Opens sockets in the namespace, or changes what is answered there. */
  | { readonly do: 'serve'; readonly path: string; readonly scope: Scope }
  | { readonly do: 'stop'; readonly path: string }
  /** The process that opens sockets goes first: nobody else can take the thread's children. */
  | { readonly do: 'end' };

export type FromNameWorker =
  | { readonly say: 'serving'; readonly path: string; readonly port: number; readonly streamPort: number }
  | { readonly say: 'refused'; readonly path: string; readonly reason: string }
  | { readonly say: 'log'; readonly event: string; readonly fields: Readonly<Record<string, string | number>> };
