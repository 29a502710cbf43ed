// What the dashboard's page and its feed say to each other. The page imports these as types.

export interface NodeView {
  readonly id: string;
  readonly hostname: string;
  readonly role: 'manager' | 'worker';
  readonly state: string; // ready, down, …
  readonly availability: string;
  readonly nanoCpus: number;
  readonly memoryBytes: number;
}

export interface ServiceView {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly replicas: number | 'global';
  readonly ports: readonly string[];
  readonly update: string; // '' or updating, paused, rollback-completed, …
}

export interface TaskView {
  readonly id: string;
  readonly serviceId: string;
  readonly nodeId: string; // '' while it is on none
  readonly name: string; // web.3
  readonly image: string;
  readonly state: string;
  readonly desired: string;
  readonly error: string;
  readonly memoryBytes: number; // reserved
  readonly nanoCpus: number;
}

export interface ManagerView {
  readonly nodeId: string;
  readonly leader: boolean;
  readonly reachable: boolean;
}

/** `state` replaces everything; `changes` are applied in order; `managers` is an observation, sent when it changed. */
export type FeedMessage =
  | {
      readonly type: 'state';
      readonly nodes: readonly NodeView[];
      readonly services: readonly ServiceView[];
      readonly tasks: readonly TaskView[];
      readonly managers: readonly ManagerView[];
    }
  | { readonly type: 'changes'; readonly changes: readonly ViewChange[] }
  | { readonly type: 'managers'; readonly managers: readonly ManagerView[] }
  | { readonly type: 'trouble'; readonly message: string };

export type ViewChange =
  | { readonly kind: 'node'; readonly id: string; readonly view?: NodeView }
  | { readonly kind: 'service'; readonly id: string; readonly view?: ServiceView }
  | { readonly kind: 'task'; readonly id: string; readonly view?: TaskView };

/** What the page may ask for. */
export interface ScaleRequest {
  readonly type: 'scale';
  readonly service: string;
  readonly by: 1 | -1;
}
