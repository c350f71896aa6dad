//! Where things go: a layered drawing after Sugiyama, Tagawa and Toda.
//!
//! 1. A step's layer is the length of the longest way to it, so that arrows point downwards; a step with nothing
//!    before it is moved down to where it is needed.
//!    Where steps wait for each other in a circle, the arrows that close it are turned round for this.
//! 2. An arrow over several layers gets a bend in each, so that it takes part in the ordering like a node.
//! 3. Layers are put in order by the barycentre of their neighbours, sweeping down and up; the order with the
//!    fewest crossings is kept.
//! 4. Places in a layer are found in sweeps too; each minimises the distance to the neighbours' mean while keeping the
//!    order and the gaps: with the gaps subtracted that is isotonic regression, which pooling adjacent violators
//!    solves exactly.

use super::layers::{downwards, layers_of};

/// Sweeps of the ordering, for graphs that a person will look at.
const SWEEPS: usize = 24;
/// From so many nodes and bends on, fewer sweeps.
const LARGE: usize = 2_000;
/// Rounds of placing.
const ROUNDS: usize = 8;
/// Smallest distance between two things of a layer.
const GAP: f64 = 28.0;
/// Room that a bend takes.
const BEND: f64 = 10.0;
/// How much more a bend is drawn to its neighbours than a node: long arrows become straight.
const BEND_WEIGHT: f64 = 4.0;

/// A finished layout.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// Centre and layer of each node.
    pub nodes: Vec<(f64, usize)>,
    /// For each edge the points it goes through, as centre and layer, both ends included.
    pub edges: Vec<Vec<(f64, usize)>>,
    /// Number of layers.
    pub layers: usize,
    /// From the left edge of the leftmost thing to the right edge of the rightmost one.
    pub width: f64,
}

/// Lays out nodes of these widths with these edges. The points of an edge that closes a circle go upwards, and those of
/// one from a node to itself are that node twice.
pub fn layout(widths: &[f64], edges: &[(usize, usize)]) -> Layout {
    if widths.is_empty() {
        return Layout::default();
    }
    let downwards = downwards(widths.len(), edges);
    let mut grid = Grid::new(widths, &downwards);
    grid.order();
    let mut x = grid.place();
    let left = x
        .iter()
        .zip(&grid.width)
        .map(|(x, width)| x - width / 2.0)
        .fold(f64::INFINITY, f64::min);
    x.iter_mut().for_each(|x| *x -= left);
    let width = x
        .iter()
        .zip(&grid.width)
        .map(|(x, width)| x + width / 2.0)
        .fold(0.0, f64::max);
    let point = |&at: &usize| (x[at], grid.layer[at]);
    Layout {
        nodes: (0..widths.len()).map(|at| point(&at)).collect(),
        edges: grid
            .routes
            .iter()
            .zip(edges)
            .map(|(route, edge)| travelled(route, edge.0, &point))
            .collect(),
        layers: grid.layers.len(),
        width,
    }
}

/// A route from the node where its edge begins.
fn travelled(route: &[usize], from: usize, point: &impl Fn(&usize) -> (f64, usize)) -> Vec<(f64, usize)> {
    if route.first() == Some(&from) {
        route.iter().map(point).collect()
    } else {
        route.iter().rev().map(point).collect()
    }
}

/// Nodes and bends, by layer.
struct Grid {
    width: Vec<f64>,
    layer: Vec<usize>,
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
    layers: Vec<Vec<usize>>,
    routes: Vec<Vec<usize>>,
    /// The first bend; what comes before are nodes.
    bends: usize,
}

impl Grid {
    fn new(widths: &[f64], edges: &[(usize, usize)]) -> Self {
        let layer = layers_of(widths.len(), edges);
        let count = layer.iter().max().map_or(1, |last| last + 1);
        let mut grid = Self {
            width: widths.to_vec(),
            above: vec![Vec::new(); widths.len()],
            below: vec![Vec::new(); widths.len()],
            layers: vec![Vec::new(); count],
            routes: Vec::with_capacity(edges.len()),
            bends: widths.len(),
            layer,
        };
        for at in 0..widths.len() {
            grid.layers[grid.layer[at]].push(at);
        }
        for &(from, to) in edges {
            let mut route = vec![from];
            for layer in grid.layer[from] + 1..grid.layer[to] {
                route.push(grid.bend(layer));
            }
            route.push(to);
            if from == to {
                grid.routes.push(route);
                continue;
            }
            for pair in route.windows(2) {
                grid.below[pair[0]].push(pair[1]);
                grid.above[pair[1]].push(pair[0]);
            }
            grid.routes.push(route);
        }
        grid
    }

    fn bend(&mut self, layer: usize) -> usize {
        let at = self.width.len();
        self.width.push(BEND);
        self.layer.push(layer);
        self.above.push(Vec::new());
        self.below.push(Vec::new());
        self.layers[layer].push(at);
        at
    }

    fn order(&mut self) {
        let sweeps = if self.width.len() > LARGE { 4 } else { SWEEPS };
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..sweeps {
            if best.0 == 0 {
                break;
            }
            self.sweep(sweep % 2 == 0);
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
    }

    fn sweep(&mut self, downwards: bool) {
        let neighbours = if downwards { &self.above } else { &self.below };
        let mut position = vec![0.0; self.width.len()];
        let count = self.layers.len();
        for nth in 0..count {
            let layer = &mut self.layers[if downwards { nth } else { count - 1 - nth }];
            let mut keyed: Vec<(f64, usize)> = layer
                .iter()
                .enumerate()
                .map(|(place, &at)| (mean(&neighbours[at], &position).unwrap_or(place as f64), at))
                .collect();
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            for (place, (slot, (_, at))) in layer.iter_mut().zip(keyed).enumerate() {
                *slot = at;
                position[at] = place as f64;
            }
        }
    }

    fn crossings(&self) -> usize {
        let mut position = vec![0; self.width.len()];
        for layer in &self.layers {
            layer.iter().enumerate().for_each(|(place, &at)| position[at] = place);
        }
        let between = |layer: &Vec<usize>| {
            let mut ends: Vec<(usize, usize)> = layer
                .iter()
                .flat_map(|&at| self.below[at].iter().map(move |&to| (at, to)))
                .map(|(at, to)| (position[at], position[to]))
                .collect();
            ends.sort_unstable();
            inversions(ends.into_iter().map(|(_, to)| to), layer.len())
        };
        self.layers.iter().map(between).sum()
    }

    fn place(&self) -> Vec<f64> {
        let mut x = vec![0.0; self.width.len()];
        for layer in &self.layers {
            let mut right = 0.0;
            for &at in layer {
                x[at] = right + self.width[at] / 2.0;
                right += self.width[at] + GAP;
            }
            layer.iter().for_each(|&at| x[at] -= right / 2.0);
        }
        // Upwards and downwards by turns, each time after what was placed just before: so chains become straight. The
        // last one goes down, because people read from above.
        let rounds = if self.width.len() > LARGE { 2 } else { ROUNDS };
        for _ in 0..rounds {
            self.layers
                .iter()
                .rev()
                .for_each(|layer| self.settle(layer, &self.below, &mut x));
            self.layers
                .iter()
                .for_each(|layer| self.settle(layer, &self.above, &mut x));
        }
        x
    }

    /// Moves the things of one layer as near to their neighbours as their order and gaps allow.
    fn settle(&self, layer: &[usize], neighbours: &[Vec<usize>], x: &mut [f64]) {
        let mut offsets = Vec::with_capacity(layer.len());
        let mut offset = 0.0;
        for (place, &at) in layer.iter().enumerate() {
            if let Some(&before) = place.checked_sub(1).and_then(|place| layer.get(place)) {
                offset += (self.width[before] + self.width[at]) / 2.0 + GAP;
            }
            offsets.push(offset);
        }
        let wishes = layer.iter().zip(&offsets).map(|(&at, offset)| {
            let wish = mean(&neighbours[at], x).unwrap_or(x[at]);
            (wish - offset, if at >= self.bends { BEND_WEIGHT } else { 1.0 })
        });
        let settled = isotonic(wishes);
        for ((&at, offset), value) in layer.iter().zip(offsets).zip(settled) {
            x[at] = value + offset;
        }
    }
}

fn mean(of: &[usize], values: &[f64]) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().map(|&at| values[at]).sum::<f64>() / of.len() as f64)
}

/// The non-decreasing sequence nearest to the wishes (value, weight), by pooling adjacent violators.
fn isotonic(wishes: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (value, weight) in wishes {
        let mut pool = (value, weight, 1);
        while let Some(&(before, heavy, count)) = pools.last().filter(|last| last.0 > pool.0) {
            pools.pop();
            let weight = pool.1 + heavy;
            pool = ((pool.0 * pool.1 + before * heavy) / weight, weight, pool.2 + count);
        }
        pools.push(pool);
    }
    pools
        .into_iter()
        .flat_map(|(value, _, count)| std::iter::repeat_n(value, count))
        .collect()
}

/// Pairs in the wrong order, counted with a Fenwick tree.
fn inversions(values: impl Iterator<Item = usize>, hint: usize) -> usize {
    let values: Vec<usize> = values.collect();
    let size = values.iter().max().map_or(hint, |max| max + 1) + 1;
    let (mut tree, mut seen, mut pairs) = (vec![0usize; size + 1], 0, 0);
    for value in values {
        let mut at = value + 1;
        let mut not_above = 0;
        while at > 0 {
            not_above += tree[at];
            at &= at - 1;
        }
        pairs += seen - not_above;
        seen += 1;
        at = value + 1;
        while at <= size {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_way_decides_the_layer_and_long_arrows_bend_in_each_layer_between() {
        let layout = layout(&[100.0; 3], &[(0, 1), (1, 2), (0, 2)]);
        assert_eq!(layout.nodes.iter().map(|node| node.1).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(
            layout.edges[2].iter().map(|point| point.1).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(layout.layers, 3);
    }

    #[test]
    fn a_crossing_that_can_be_avoided_is() {
        let mut grid = Grid::new(&[50.0; 4], &[(0, 3), (1, 2)]);
        assert_eq!(grid.crossings(), 1);
        grid.order();
        assert_eq!(grid.crossings(), 0);
    }

    #[test]
    fn things_of_a_layer_never_overlap() {
        let edges: Vec<(usize, usize)> = (1..8).map(|to| (0, to)).chain((1..8).map(|from| (from, 8))).collect();
        let widths: Vec<f64> = (0..9).map(|nth| 60.0 + 20.0 * f64::from(nth)).collect();
        let layout = layout(&widths, &edges);
        let mut middle: Vec<(f64, f64)> = (1..8).map(|at| (layout.nodes[at].0, widths[at])).collect();
        middle.sort_by(|one, other| one.0.total_cmp(&other.0));
        for pair in middle.windows(2) {
            assert!(pair[1].0 - pair[1].1 / 2.0 >= pair[0].0 + pair[0].1 / 2.0 + GAP - 1e-6);
        }
    }

    #[test]
    fn a_diamond_is_symmetric() {
        let layout = layout(&[100.0; 4], &[(0, 1), (0, 2), (1, 3), (2, 3)]);
        let x: Vec<f64> = layout.nodes.iter().map(|node| node.0).collect();
        assert!((x[0] - x[3]).abs() < 1e-6 && (x[0] - f64::midpoint(x[1], x[2])).abs() < 1e-6);
    }

    #[test]
    fn a_chain_is_straight_below_whatever_stands_beside_its_beginning() {
        let layout = layout(
            &[100.0, 120.0, 90.0, 140.0, 80.0],
            &[(0, 1), (0, 2), (1, 2), (2, 3), (3, 4)],
        );
        let x: Vec<f64> = layout.nodes.iter().map(|node| node.0).collect();
        assert!((x[2] - x[3]).abs() < 1e-6 && (x[3] - x[4]).abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn a_step_with_nothing_before_it_stands_where_it_is_needed() {
        let layout = layout(&[100.0; 4], &[(0, 1), (1, 2), (3, 2)]);
        assert_eq!(layout.nodes[3].1, 1);
    }

    #[test]
    fn an_arrow_that_closes_a_circle_goes_upwards_and_the_others_down() {
        let layout = layout(&[100.0; 4], &[(0, 1), (1, 2), (2, 0), (3, 3)]);
        let layers = |edge: usize| layout.edges[edge].iter().map(|point| point.1).collect::<Vec<_>>();
        assert_eq!(
            [layers(0), layers(1), layers(2)],
            [vec![0, 1], vec![1, 2], vec![2, 1, 0]]
        );
        assert_eq!(layout.edges[3], [layout.nodes[3], layout.nodes[3]]);
    }

    #[test]
    fn a_chain_of_ten_thousand_steps_is_laid_out_without_recursion() {
        let edges: Vec<(usize, usize)> = (1..10_000).map(|to| (to - 1, to)).collect();
        assert_eq!(layout(&vec![80.0; 10_000], &edges).layers, 10_000);
    }
}
