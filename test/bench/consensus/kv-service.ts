// The part of etcd's public client protocol that the bench speaks, to etcd and to our members alike, so that both are
// asked by the same client in the same way.
import { Client, credentials, loadPackageDefinition, type ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

const field = (id: number, type: string): { id: number; type: string } => ({ id, type });
const HEADER = field(1, 'ResponseHeader');

const PROTOCOL = {
  nested: {
    etcdserverpb: {
      nested: {
        ResponseHeader: {
          fields: { cluster_id: field(1, 'uint64'), member_id: field(2, 'uint64'), revision: field(3, 'int64') },
        },
        PutRequest: { fields: { key: field(1, 'bytes'), value: field(2, 'bytes') } },
        PutResponse: { fields: { header: HEADER } },
        StatusRequest: { fields: {} },
        StatusResponse: { fields: { header: HEADER, leader: field(4, 'uint64') } },
        KV: { methods: { Put: { requestType: 'PutRequest', responseType: 'PutResponse' } } },
        Maintenance: { methods: { Status: { requestType: 'StatusRequest', responseType: 'StatusResponse' } } },
      },
    },
  },
};

interface Services {
  readonly etcdserverpb: Record<'KV' | 'Maintenance', { readonly service: ServiceDefinition }>;
}

const definition = fromJSON(PROTOCOL as unknown as Parameters<typeof fromJSON>[0], {
  keepCase: true,
  longs: String,
  defaults: true,
});
export const { KV, Maintenance } = (loadPackageDefinition(definition) as unknown as Services).etcdserverpb;

export interface StatusReply {
  readonly header: { readonly member_id: string };
  readonly leader: string;
}

/** One connection to one member. */
export class KvClient implements Disposable {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 200,
    });
  }

  put(key: string, value: Uint8Array, withinMs: number): Promise<void> {
    return this.#call<void>(KV.service, 'Put', { key: Buffer.from(key), value }, withinMs);
  }

  status(withinMs: number): Promise<StatusReply> {
    return this.#call<StatusReply>(Maintenance.service, 'Status', {}, withinMs);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  #call<T>(service: ServiceDefinition, name: string, request: object, withinMs: number): Promise<T> {
    const method = service[name];
    if (!method) throw new Error(`no method ${name}`);
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize as (bytes: Buffer) => T,
        request,
        { deadline: Date.now() + withinMs },
        (error, reply) => (error ? reject(error) : resolve(reply as T)),
      );
    });
  }
}
