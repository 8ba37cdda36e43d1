/** REST calls and the live WebSocket over JupyterLab's connection to its server. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { asFailure, failureOf, noNetwork } from './failure';
import type { Trans } from './words';
import type { ISocket, ISocketEvents, ITransport } from './transport';

const LIMIT_MS = 30000;

export class JupyterTransport implements ITransport {
  constructor(
    private readonly _settings: ServerConnection.ISettings,
    private readonly _trans: Trans
  ) {}

  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const url = URLExt.join(this._settings.baseUrl, 'swarm-lab', 'api') + '/' + path;
    const init: RequestInit = { method, signal: AbortSignal.timeout(LIMIT_MS) };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
    }
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this._settings);
    } catch (error) {
      throw error instanceof ServerConnection.NetworkError ? noNetwork(this._trans) : asFailure(error, this._trans);
    }
    const text = await response.text();
    const answer = parsed(text);
    if (!response.ok) {
      throw failureOf(response.status, answer, this._trans);
    }
    return answer;
  }

  connect(events: ISocketEvents): ISocket {
    const { wsUrl, appendToken, token } = this._settings;
    const query = appendToken && token ? `?token=${encodeURIComponent(token)}` : '';
    const socket = new this._settings.WebSocket(URLExt.join(wsUrl, 'swarm-lab', 'api', 'live') + query);
    socket.onopen = () => events.opened();
    socket.onmessage = event => events.message(String(event.data));
    socket.onclose = () => events.closed();
    return {
      send: text => socket.send(text),
      close: () => socket.close()
    };
  }
}

/** JSON, or null: a proxy's error page is none. */
function parsed(text: string): unknown {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
