/** Something that the server works on for a while, as a notification that says how far it is and how it ended. */
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Operation, Report } from '../api';
import { asFailure, type SwarmFailure } from '../failure';
import type { ISwarmModel } from '../tokens';
import { failureBody, showReport } from './bodies';

const SHOWN_MS = 4000;
/** What is over sooner is told when it is: JupyterLab loses a change that comes while it makes the notification. */
const PATIENCE_MS = 500;
/** JupyterLab's toasts cut what is longer. */
const TOAST = 130;

export interface Call {
  method: string;
  path: string;
  body?: unknown;
}

/** `run` and `get` are made to be taken apart: `({ run, trans }: Work) => ...`. */
export class Work {
  constructor(
    readonly model: ISwarmModel,
    readonly trans: TranslationBundle
  ) {}

  /** Do it, say `doing` while it lasts and `done` at its end; null if it failed, which is told. */
  readonly run = async (doing: string, done: string, call: Call): Promise<Operation | null> => {
    const shown: { id?: string } = {};
    let text = doing;
    const timer = setTimeout(() => (shown.id = Notification.emit(text, 'in-progress', { autoClose: false })), PATIENCE_MS);
    const said = (operation: Operation): void => {
      const last = operation.said[operation.said.length - 1];
      if (last !== undefined) {
        text = short(`${doing}: ${last}`);
        if (shown.id !== undefined) {
          Notification.update({ id: shown.id, message: text });
        }
      }
    };
    try {
      const operation = await this.model.run(call.method, call.path, call.body, said);
      clearTimeout(timer);
      notify(shown.id, done, 'success', { autoClose: SHOWN_MS });
      return operation;
    } catch (error) {
      clearTimeout(timer);
      this._failed(asFailure(error, this.trans), shown.id);
      return null;
    }
  };

  /** Ask for something that the server has at once; null if it failed, which is told. */
  readonly get = async <T>(path: string): Promise<T | null> => {
    try {
      return await this.model.request<T>('GET', path);
    } catch (error) {
      this.tell(asFailure(error, this.trans));
      return null;
    }
  };

  tell(failure: SwarmFailure): void {
    this._failed(failure);
  }

  /** The button of a failure: a call of its own. */
  async act(failure: SwarmFailure): Promise<void> {
    const { action } = failure;
    if (action === null) {
      return;
    }
    const operation = await this.run(action.label, this.trans.__('%1: done', action.label), action);
    if (operation?.verb === 'doctor') {
      await showReport(operation.answer as Report, this.trans);
    }
  }

  /** Code, cause and next step in full. */
  async explain(failure: SwarmFailure): Promise<void> {
    const { trans } = this;
    const buttons = [Dialog.cancelButton({ label: trans.__('Close') })];
    if (failure.action !== null) {
      buttons.push(Dialog.okButton({ label: failure.action.label }));
    }
    const title = failure.code ? trans.__('What failed (%1)', failure.code) : trans.__('What failed');
    const result = await showDialog({ title, body: failureBody(failure, trans), buttons });
    if (result.button.accept) {
      await this.act(failure);
    }
  }

  private _failed(failure: SwarmFailure, id?: string): void {
    const { trans } = this;
    const actions: Notification.IAction[] = [];
    if (failure.action !== null) {
      actions.push({
        label: failure.action.label,
        callback: () => void this.act(failure),
        displayType: 'accent'
      });
    }
    actions.push({ label: trans.__('Cause and next step'), callback: () => void this.explain(failure) });
    const code = failure.code ? ` (${failure.code})` : '';
    notify(id, short(`${failure.message}${code}`), 'error', { autoClose: false, actions });
  }
}

/** A new notification, or another text for one that is shown. */
function notify(
  id: string | undefined,
  message: string,
  type: 'success' | 'error',
  options: { autoClose: number | false; actions?: Notification.IAction[] }
): void {
  if (id === undefined) {
    Notification.emit(message, type, options);
  } else {
    Notification.update({ id, message, type, ...options });
  }
}

function short(text: string): string {
  return text.length > TOAST ? `${text.slice(0, TOAST - 1)}…` : text;
}
