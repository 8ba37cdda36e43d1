/** The Jupyter Server of the browser tests: it can be ended and started again in the middle of one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const PORT = process.env.SWARM_LAB_PORT ?? '18888';
const ADDRESS = `http://127.0.0.1:${PORT}`;
const START_MS = 90_000;
const STOP_MS = 20_000;

export class Server {
  /** `home` has the swarms of the tests, the files of the notebooks and the server's log. */
  constructor(readonly home = process.env.SWARM_LAB_HOME!) {
    mkdirSync(join(home, 'work'), { recursive: true });
  }

  /** `environment` is for `jupyter_server_config.py`. */
  async start(environment: Record<string, string> = {}): Promise<void> {
    const log = openSync(join(this.home, 'server.log'), 'a');
    const { JUPYTER = 'jupyter' } = process.env;
    const config = join(__dirname, 'jupyter_server_config.py');
    this._process = spawn(JUPYTER, ['lab', '--config', config], {
      cwd: this.home,
      env: { ...process.env, JUPYTER_CONFIG_DIR: join(this.home, 'config'), SWARM_LAB_PORT: PORT, ...environment },
      stdio: ['ignore', log, log]
    });
    const end = Date.now() + START_MS;
    while (!(await answers())) {
      if (this._process.exitCode !== null || Date.now() > end) {
        throw new Error(`The Jupyter Server did not start: see ${this.home}/server.log`);
      }
      await sleep(200);
    }
  }

  /** By SIGTERM, as an administrator would; the swarms go on. */
  async stop(): Promise<void> {
    const process = this._process;
    if (process === null || process.exitCode !== null) {
      return;
    }
    const ended = new Promise(resolve => process.once('exit', resolve));
    process.kill('SIGTERM');
    const late = sleep(STOP_MS).then(() => process.kill('SIGKILL'));
    await Promise.race([ended, late]);
    await ended;
  }

  private _process: ChildProcess | null = null;
}

async function answers(): Promise<boolean> {
  try {
    return (await fetch(`${ADDRESS}/api/status`)).status < 500; // a login that is asked for is an answer too
  } catch {
    return false;
  }
}
