/** The way to the server extension, as the model needs it; tests have one of their own. */

export interface ISocket {
  send(text: string): void;
  close(): void;
}

export interface ISocketEvents {
  opened(): void;
  message(text: string): void;
  /** Once, also when it could not be opened. */
  closed(): void;
}

export interface ITransport {
  /** JSON in and out; raises `SwarmFailure`. `path` is below `swarm-lab/api/`, its parts already encoded. */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  connect(events: ISocketEvents): ISocket;
}

/** A path of parts that may hold any character. */
export function pathOf(...parts: string[]): string {
  return parts.map(part => encodeURIComponent(part)).join('/');
}
