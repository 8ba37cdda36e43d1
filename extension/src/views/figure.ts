/** The frame of a chart: its title, what it says in words, its tools, and the table that shows the same. */
import type { Trans } from '../words';
import { button, el, setText } from './dom';

export class Figure {
  readonly node: HTMLElement;
  /** Holds the drawing. */
  readonly body = el('div', 'swl-Figure-body');
  /** Stands before the button of the table. */
  readonly tools = el('span', 'swl-Figure-tools');

  /** `table` is shown in place of the drawing; `toggled` is called after each change. */
  constructor(title: string, table: HTMLElement, toggled: () => void, trans: Trans) {
    this._title = el('span', 'swl-h', {}, title);
    this._table = table;
    this._toggle = button('table', trans.__('Show as table'), () => {
      this.asTable = !this.asTable;
      this._toggle.setAttribute('aria-pressed', String(this.asTable));
      this._toggle.classList.toggle('is-on', this.asTable);
      this.body.hidden = this.asTable;
      table.hidden = !this.asTable;
      toggled();
    });
    this._toggle.setAttribute('aria-pressed', 'false');
    table.hidden = true;
    this._head = el('div', 'swl-Figure-head', {}, this._title, this._note, el('span', 'swl-grow'));
    this._head.append(this.tools, this._toggle);
    this.node = el('figure', 'swl-Figure', { 'aria-label': title }, this._head, this.body, table);
  }

  /** Whether the table is shown. */
  asTable = false;

  set title(title: string) {
    setText(this._title, title);
    this.node.setAttribute('aria-label', title);
  }

  set note(note: string) {
    setText(this._note, note);
  }

  /** With nothing to show there is nothing to choose. */
  set empty(empty: boolean) {
    this._toggle.hidden = empty;
    this.tools.hidden = empty;
    if (empty && this.asTable) {
      this._toggle.click();
    }
  }

  get table(): HTMLElement {
    return this._table;
  }

  private _head: HTMLElement;
  private _title: HTMLElement;
  private _note = el('span', 'swl-2 swl-cut');
  private _toggle: HTMLButtonElement;
  private _table: HTMLElement;
}
