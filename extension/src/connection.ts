/** The one live WebSocket of a browser tab: opened again with backoff, what is watched asked for again. */
import type { LiveMessage, LiveRequest } from './api';
import type { ISocket, ITransport } from './transport';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
/** Something comes every two seconds: who is silent for so long is gone, even if the socket does not know. */
const SILENT_MS = 20000;

export interface IConnectionOwner {
  /** Before each opening: raises if the server part is missing, of another version, or wants a login. */
  admit(): Promise<void>;
  /** A new socket is open. */
  opened(): void;
  message(message: LiveMessage): void;
  /** Not live any more, or still not; `error` is what `admit` raised. */
  lost(error: unknown): void;
}

export class Connection {
  constructor(
    private readonly _transport: ITransport,
    private readonly _owner: IConnectionOwner
  ) {}

  get live(): boolean {
    return this._live;
  }

  /** Connect, at once if a wait is going on; a second call while all is well does nothing. */
  start(): void {
    clearTimeout(this._retry);
    if (this._socket === null && !this._opening && !this._disposed) {
      void this._open();
    }
  }

  send(request: LiveRequest): void {
    if (this._live) {
      this._socket?.send(JSON.stringify(request));
    }
  }

  dispose(): void {
    this._disposed = true;
    clearTimeout(this._retry);
    clearTimeout(this._silence);
    this._socket?.close();
    this._socket = null;
  }

  private async _open(): Promise<void> {
    this._opening = true;
    try {
      await this._owner.admit();
    } catch (error) {
      this._opening = false;
      this._again(error);
      return;
    }
    this._opening = false;
    if (this._disposed) {
      return;
    }
    const socket: ISocket = this._transport.connect({
      opened: () => this._isCurrent(socket) && this._opened(),
      message: text => this._isCurrent(socket) && this._message(text),
      closed: () => this._isCurrent(socket) && this._closed()
    });
    this._socket = socket;
  }

  private _isCurrent(socket: ISocket): boolean {
    return socket === this._socket && !this._disposed;
  }

  private _opened(): void {
    this._live = true;
    this._tries = 0;
    this._listen();
    this._owner.opened();
  }

  private _message(text: string): void {
    this._listen();
    this._owner.message(JSON.parse(text) as LiveMessage);
  }

  private _listen(): void {
    clearTimeout(this._silence);
    this._silence = setTimeout(() => this._dropped(), SILENT_MS);
  }

  /** A socket that went silent may take minutes to close. */
  private _dropped(): void {
    const socket = this._socket;
    this._closed();
    socket?.close();
  }

  private _closed(): void {
    this._socket = null;
    this._live = false;
    clearTimeout(this._silence);
    this._again(null);
  }

  private _again(error: unknown): void {
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this._tries);
    this._tries += 1;
    clearTimeout(this._retry);
    // Spread, so that all tabs do not come back in the same moment.
    this._retry = setTimeout(() => this.start(), wait * (0.75 + Math.random() / 2));
    this._owner.lost(error);
  }

  private _socket: ISocket | null = null;
  private _opening = false;
  private _live = false;
  private _disposed = false;
  private _tries = 0;
  private _retry: ReturnType<typeof setTimeout> | undefined;
  private _silence: ReturnType<typeof setTimeout> | undefined;
}
