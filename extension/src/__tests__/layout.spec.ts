import { layoutOf, nearest, type INodePlace } from '../views/layout';
import { swarmOf } from './stories';

const nodesOf = (count: number, hosts = 1): INodePlace[] => swarmOf(count, hosts).nodes;

function closest(points: { x: number; y: number }[]): number {
  let least = Infinity;
  points.forEach((a, at) => points.slice(at + 1).forEach(b => (least = Math.min(least, Math.hypot(a.x - b.x, a.y - b.y)))));
  return least;
}

describe('layoutOf', () => {
  it.each([1, 2, 4, 8, 10, 40, 100])('keeps %d nodes apart and inside', count => {
    for (const width of [320, 456, 900]) {
      const { at, height, radius } = layoutOf(nodesOf(count), width);
      expect(at.size).toBe(count + 4);
      expect(closest([...at.values()])).toBeGreaterThan(count <= 40 && width > 400 ? 2 * radius : radius);
      for (const { x, y } of at.values()) {
        expect(x > 0 && x < width && y > 0 && y < height).toBe(true);
      }
    }
  });

  it('draws a bubble a host where nodes are very many, and opens it in place', () => {
    const closed = layoutOf(nodesOf(100, 5), 600);
    expect([...closed.bubbles.values()].map(one => one.count)).toEqual([20, 20, 20, 20, 20]);
    const open = layoutOf(nodesOf(100, 5), 600, new Set(['h-2']));
    expect(open.bubbles.size).toBe(4);
    expect(open.at.size).toBe(4 + 20);
  });
});

describe('nearest', () => {
  it('goes to the next node in a direction, and nowhere at the edge', () => {
    const { at } = layoutOf(nodesOf(4), 456);
    expect(nearest(at, 'sl-1', 1, 0)).toBe('sl-2');
    expect(nearest(at, 'sl-1', -1, 0)).toBeNull();
    expect(nearest(at, 'identity', 0, 1)).toBe('sentinel');
  });
});
