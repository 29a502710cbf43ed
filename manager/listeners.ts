// The manager's two listeners: the listen port, where strangers ask for certificates and nothing else, and the control
// port, where every caller shows a certificate and the table in authority.ts decides.
import type { Server, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { listen, newServer } from '../proto/rpc.ts';
import type { Credentials } from '../proto/credentials.ts';
import type { CertificateRequestsHandlers } from '../proto/gen/shoal/ca/v1/CertificateRequests.ts';
import { CertificateRequests } from '../proto/services.ts';
import { type Authority, authorityInterceptor } from './authority.ts';
import { OPEN_MESSAGE_BYTES_MAX } from './ca/handlers.ts';

export type ServiceEntry = readonly [definition: ServiceDefinition, handlers: UntypedServiceImplementation];

export interface ListenersOptions {
  readonly joinListen: string; // host:port
  readonly controlListen: string;
  readonly credentials: Credentials;
  readonly authority: Authority;
  readonly requests: CertificateRequestsHandlers;
  readonly services: readonly ServiceEntry[];
}

export interface Listeners extends AsyncDisposable {
  readonly joinPort: number;
  readonly controlPort: number;
}

const CONTROL_MESSAGE_BYTES_MAX = 8 * 1024 * 1024;
const CLOSE_WITHIN_MS = 500;

export async function openListeners(options: ListenersOptions): Promise<Listeners> {
  const { credentials } = options;
  const open = newServer({ messageBytesMax: OPEN_MESSAGE_BYTES_MAX, streamsMax: 4 }, []);
  open.addService(CertificateRequests, { ...options.requests });
  const control = newServer({ messageBytesMax: CONTROL_MESSAGE_BYTES_MAX, streamsMax: 10_000 }, [
    authorityInterceptor(options.authority),
  ]);
  for (const [definition, handlers] of options.services) control.addService(definition, handlers);
  const close = async (): Promise<void> => {
    await Promise.all([shut(open), shut(control)]);
  };
  try {
    const controlPort = await listen(control, options.controlListen, credentials.serverCredentials());
    const joinPort = await listen(open, options.joinListen, credentials.openServerCredentials());
    return { joinPort, controlPort, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Lets calls end for a moment, then cuts them. */
async function shut(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    const force = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, CLOSE_WITHIN_MS);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}
