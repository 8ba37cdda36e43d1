/** A table of any length that has in the page only the rows that are seen; rows can be walked and chosen by keys. */
import { el, setText } from './dom';

export const ROW = 28;
const HEAD = 24;
const AROUND = 4;

/** A text, or something to draw: it is drawn anew when its id changes. */
export type Cell = string | { id: string; make: () => Node };

export interface Column {
  title: string;
  right?: boolean;
  className?: string;
}

export interface Rows {
  count: number;
  /** What the row is about; stays while rows come and go. */
  key(row: number): string;
  cells(row: number): Cell[];
  selected?(row: number): boolean;
}

export class WindowedTable {
  readonly node: HTMLElement;

  /** Shows `most` rows, further ones by scrolling. `choose` gets the key of a row. */
  constructor(label: string, most: number, choose: ((key: string) => void) | null = null) {
    this._choose = choose;
    const role = choose ? 'grid' : null;
    this._table = el('table', 'swl-Table', { 'aria-label': label, role }, this._head, this._body);
    this.node = el('div', 'swl-Scroll', { tabindex: choose ? null : 0, role: 'group', 'aria-label': label }, this._table);
    this._most = most;
    this.node.addEventListener('scroll', () => this._draw());
    if (choose) {
      this._body.addEventListener('keydown', event => this._key(event));
      this._body.addEventListener('click', event => this._click(event));
    }
  }

  set label(label: string) {
    this._table.setAttribute('aria-label', label);
    this.node.setAttribute('aria-label', label);
  }

  update(columns: Column[], rows: Rows): void {
    const key = columns.map(column => column.title).join('\n');
    if (key !== this._columnsKey) {
      this._columnsKey = key;
      this._columns = columns;
      const cells = columns.map(column => el('th', classOf(column), { scope: 'col' }, column.title));
      this._head.replaceChildren(el('tr', '', {}, ...cells));
      this._body.replaceChildren();
      this._slots = [];
    }
    this._rows = rows;
    this._table.setAttribute('aria-rowcount', String(rows.count + 1));
    // Half a row more says that there are more.
    this.node.style.maxHeight = `${HEAD + (rows.count > this._most ? this._most + 0.5 : this._most) * ROW + 1}px`;
    this._draw();
  }

  private _draw(): void {
    const { count } = this._rows;
    const first = Math.min(Math.max(0, Math.floor(this.node.scrollTop / ROW) - AROUND), Math.max(0, count - 1));
    const last = Math.min(count, first + this._most + 2 * AROUND);
    const focused = this._body.contains(document.activeElement);
    this._active = Math.max(0, Math.min(this._active, count - 1));
    while (this._slots.length > last - first) {
      this._slots.pop()!.row.remove();
    }
    while (this._slots.length < last - first) {
      this._slots.push(this._slot());
    }
    this._slots.forEach((slot, place) => this._fill(slot, first + place));
    this._spacer(this._above, first * ROW, true);
    this._spacer(this._below, (count - last) * ROW, false);
    if (focused) {
      this._slots.find(slot => slot.at === this._active)?.row.focus({ preventScroll: true });
    }
  }

  private _spacer(row: HTMLElement, height: number, before: boolean): void {
    if (height <= 0) {
      row.remove();
      return;
    }
    (row.firstChild as HTMLTableCellElement).style.height = `${height}px`;
    if (!row.isConnected || row.parentElement !== this._body) {
      this._body.insertBefore(row, before ? this._body.firstChild : null);
    }
  }

  private _slot(): Slot {
    const cells = this._columns.map(column => el('td', classOf(column)));
    const row = el('tr', '', {}, ...cells);
    this._body.insertBefore(row, this._below.parentElement === this._body ? this._below : null);
    return { row, cells, ids: cells.map(() => ''), at: -1 };
  }

  private _fill(slot: Slot, at: number): void {
    slot.at = at;
    slot.row.setAttribute('aria-rowindex', String(at + 2));
    this._rows.cells(at).forEach((cell, place) => {
      const target = slot.cells[place];
      if (typeof cell === 'string') {
        slot.ids[place] = '';
        setText(target, cell);
      } else if (slot.ids[place] !== cell.id) {
        slot.ids[place] = cell.id;
        target.replaceChildren(cell.make());
      }
    });
    const selected = this._rows.selected?.(at) ?? false;
    slot.row.classList.toggle('is-selected', selected);
    if (this._choose) {
      slot.row.tabIndex = at === this._active ? 0 : -1;
      slot.row.setAttribute('aria-selected', String(selected));
    }
  }

  private _click(event: Event): void {
    const row = (event.target as Element).closest('tr');
    const slot = this._slots.find(one => one.row === row);
    if (slot) {
      this._active = slot.at;
      this._choose!(this._rows.key(slot.at));
      this._draw();
    }
  }

  private _key(event: KeyboardEvent): void {
    const last = this._rows.count - 1;
    const moves: Record<string, number> = {
      ArrowDown: this._active + 1,
      ArrowUp: this._active - 1,
      PageDown: this._active + this._most,
      PageUp: this._active - this._most,
      Home: 0,
      End: last
    };
    if (event.key in moves) {
      this._active = Math.max(0, Math.min(last, moves[event.key]));
      this._reveal();
    } else if (event.key === 'Enter' || event.key === ' ') {
      this._choose!(this._rows.key(this._active));
      this._draw();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private _reveal(): void {
    const top = this._active * ROW;
    const height = this.node.clientHeight - HEAD;
    if (top < this.node.scrollTop) {
      this.node.scrollTop = top;
    } else if (height > 0 && top + ROW > this.node.scrollTop + height) {
      this.node.scrollTop = top + ROW - height;
    }
    this._draw();
  }

  private _choose: ((key: string) => void) | null;
  private _most: number;
  private _table: HTMLTableElement;
  private _head = el('thead');
  private _body = el('tbody');
  private _above = el('tr', '', { 'aria-hidden': 'true' }, el('td', 'swl-Table-space'));
  private _below = el('tr', '', { 'aria-hidden': 'true' }, el('td', 'swl-Table-space'));
  private _columns: Column[] = [];
  private _columnsKey = '';
  private _rows: Rows = { count: 0, key: () => '', cells: () => [] };
  private _slots: Slot[] = [];
  private _active = 0;
}

interface Slot {
  row: HTMLTableRowElement;
  cells: HTMLTableCellElement[];
  ids: string[];
  at: number;
}

function classOf(column: Column): string {
  return [column.right ? 'r' : '', column.className ?? ''].join(' ').trim();
}
