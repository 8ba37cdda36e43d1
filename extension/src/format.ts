/** Numbers, sizes and times as they stand on the screen: each with its unit, a dash where there is none. */

export const NONE = '–';
const YEAR_S = 365.25 * 86400;

/** Three digits that mean something: 0.312, 12.4, 1.2e-5. */
export function decimal(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return NONE;
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 100000)) {
    return value.toExponential(1);
  }
  return value.toFixed(size < 10 ? 3 : size < 1000 ? 1 : 0);
}

export function percent(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : `${Math.round(value)}%`;
}

/** 812M, 3.1G: for a column. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) {
    return NONE;
  }
  const units = ['B', 'K', 'M', 'G', 'T'];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size < 10 && unit > 0 ? size.toFixed(1) : Math.round(size)}${units[unit]}`;
}

/** 17 s, 6 min, 23 h, 3 d, 10 y. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) {
    return NONE;
  }
  const size = Math.max(0, seconds);
  if (size < 60) {
    return `${size < 9.95 && size > 0 ? size.toFixed(1) : Math.round(size)} s`;
  }
  if (size < 3600) {
    return `${Math.round(size / 60)} min`;
  }
  if (size < 48 * 3600) {
    return `${Math.round(size / 3600)} h`;
  }
  return size < 2 * YEAR_S ? `${Math.round(size / 86400)} d` : `${Math.round(size / YEAR_S)} y`;
}

/** 52 m, 23 h: for a column. */
export function shortDuration(seconds: number | null | undefined): string {
  return duration(seconds).replace(' min', ' m');
}

/** 12:40; `time` in unix seconds. */
export function clock(time: number): string {
  return new Date(time * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

/** When something was, `now` in unix seconds: "12 s ago" below an hour, else a clock time, else a day. */
export function moment(time: number, now: number, ago: (span: string) => string): string {
  const age = now - time;
  if (age < 3600) {
    return ago(duration(Math.max(1, Math.round(age))));
  }
  const at = new Date(time * 1000);
  if (at.toDateString() === new Date(now * 1000).toDateString()) {
    return clock(time);
  }
  return at.toLocaleDateString();
}
