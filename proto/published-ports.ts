// The ports of a service as they are known now: the specification's, with the numbers that the allocator chose.
// Shared by those who create tasks and the one who allocates, so that a task is born `pending` where nothing is left
// to allocate: one commit less on the way of every task.
import type { PortConfig, Service } from './objects.ts';

/** True when `allocated` is an answer to `wanted`: the same port, with its number where none was asked for. */
export function answersPort(wanted: PortConfig, allocated: PortConfig): boolean {
  return (
    wanted.targetPort === allocated.targetPort &&
    wanted.protocol === allocated.protocol &&
    wanted.publishMode === allocated.publishMode &&
    wanted.name === allocated.name &&
    (wanted.publishedPort === 0 || wanted.publishedPort === allocated.publishedPort)
  );
}

/** True when `allocated` answers every port of `wanted`, in order. */
export function answersPorts(wanted: readonly PortConfig[], allocated: readonly PortConfig[]): boolean {
  return (
    wanted.length === allocated.length &&
    wanted.every((port, index) => {
      const answer = allocated[index];
      return answer !== undefined && answersPort(port, answer);
    })
  );
}

/** Every port of the service with its number (0 stays for host mode: the node chooses), or undefined while one lacks it. */
export function knownPorts(service: Pick<Service, 'spec' | 'endpointPorts'>): readonly PortConfig[] | undefined {
  const wanted = service.spec.endpoint.ports;
  if (service.endpointPorts && answersPorts(wanted, service.endpointPorts)) return service.endpointPorts;
  return wanted.some((port) => port.publishMode === 'ingress') ? undefined : wanted;
}
