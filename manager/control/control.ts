// The control operations, as the leader carries them out: after a read barrier, on its own store.
// Whoever calls has been authenticated; what they may do is decided here.
import { fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Caller, ControlMethod, ControlReply } from '../../proto/control.ts';
import { CONTROL_METHODS } from '../../proto/control.ts';
import { clusterHandlers } from './cluster.ts';
import { guestHandlers } from './guests.ts';
import type { HandlerDeps, Handlers } from './handlers.ts';
import { networkHandlers } from './networks.ts';
import { nodeHandlers } from './nodes.ts';
import { REQUESTS } from './requests.ts';
import { serviceHandlers } from './services.ts';
import { taskHandlers } from './tasks.ts';
import { Turns } from './turns.ts';

export interface ControlOptions extends Omit<HandlerDeps, 'turns'> {
  /** Gets a line for every write: who did what. */
  readonly log: Log;
}

export interface Control {
  /** `request` is JSON from outside; it is parsed here. Errors: `invalid`, `not-found`, …, and those of `Store.update`. */
  call<M extends ControlMethod>(
    method: M,
    request: unknown,
    context: { caller: Caller; abort?: AbortSignal | undefined },
  ): Promise<ControlReply<M>>;
}

export function createControl(options: ControlOptions): Control {
  const { log, ...rest } = options;
  const deps: HandlerDeps = { ...rest, turns: new Turns() };
  const handlers: Handlers = {
    ...serviceHandlers(deps),
    ...taskHandlers(deps),
    ...nodeHandlers(deps),
    ...clusterHandlers(deps),
    ...networkHandlers(deps),
    ...guestHandlers(deps),
  };
  return {
    async call(method, request, { caller, abort }) {
      if (!isControlMethod(method)) fail('not-implemented', `there is no control operation ${String(method)}`);
      if (caller.role === 'worker') fail('forbidden', `node ${caller.id} is a worker: ${method} is for managers`);
      const reply = await handlers[method](REQUESTS[method](request, 'request'), { caller, abort });
      if (CONTROL_METHODS[method] === 'write') log.info('cluster changed by request', { method, ...caller });
      return reply;
    },
  };
}

export const isControlMethod = (name: string): name is ControlMethod => Object.hasOwn(CONTROL_METHODS, name);
