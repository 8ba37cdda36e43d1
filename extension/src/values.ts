/** Fields of facts: what is of another type than expected counts as not told. */

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function names(value: unknown): string[] {
  return Array.isArray(value) ? (value as string[]) : [];
}

/** The mean of what is known; null where nothing is. */
export function mean(values: (number | null | undefined)[]): number | null {
  const known = values.filter((value): value is number => typeof value === 'number');
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}
