//! Parts of a drawing that have nothing to do with each other: each is laid out by itself, and they are put side by side,
//! and below each other where the drawing would become too wide. The layers of what stands below come after those above.

use super::layout::{Layout, layout};

/// Between two parts.
const GAP: f64 = 56.0;
/// How wide a drawing becomes before the next part goes below; a part that is wider by itself stays whole.
const WIDE: f64 = 1_400.0;

/// Lays out nodes of these widths with these edges.
pub fn pack(widths: &[f64], edges: &[(usize, usize)]) -> Layout {
    let parts = parts(widths, edges);
    let limit = parts.iter().map(|part| part.layout.width).fold(WIDE, f64::max);
    let mut whole = Layout {
        nodes: vec![(0.0, 0); widths.len()],
        edges: vec![Vec::new(); edges.len()],
        ..Layout::default()
    };
    let (mut left, mut top) = (0.0, 0);
    for part in parts {
        if left > 0.0 && left + part.layout.width > limit {
            (left, top) = (0.0, whole.layers);
        }
        let place = |(x, layer): (f64, usize)| (left + x, top + layer);
        for (&node, at) in part.nodes.iter().zip(part.layout.nodes) {
            whole.nodes[node] = place(at);
        }
        for (&edge, points) in part.edges.iter().zip(part.layout.edges) {
            whole.edges[edge] = points.into_iter().map(place).collect();
        }
        whole.layers = whole.layers.max(top + part.layout.layers);
        whole.width = whole.width.max(left + part.layout.width);
        left += part.layout.width + GAP;
    }
    whole
}

/// Nodes that are connected.
#[derive(Default)]
struct Part {
    nodes: Vec<usize>,
    edges: Vec<usize>,
    layout: Layout,
}

/// The parts, in the order of the first node of each.
fn parts(widths: &[f64], edges: &[(usize, usize)]) -> Vec<Part> {
    let (number, mut parts) = connected(widths.len(), edges);
    let mut place = vec![0; widths.len()];
    for (node, &part) in number.iter().enumerate() {
        place[node] = parts[part].nodes.len();
        parts[part].nodes.push(node);
    }
    for (edge, &(from, _)) in edges.iter().enumerate() {
        parts[number[from]].edges.push(edge);
    }
    for part in &mut parts {
        let widths: Vec<f64> = part.nodes.iter().map(|&node| widths[node]).collect();
        let pair = |&edge: &usize| (place[edges[edge].0], place[edges[edge].1]);
        let pairs: Vec<(usize, usize)> = part.edges.iter().map(pair).collect();
        part.layout = layout(&widths, &pairs);
    }
    parts
}

/// For each node the number of its part, and as many empty parts.
fn connected(count: usize, edges: &[(usize, usize)]) -> (Vec<usize>, Vec<Part>) {
    const NONE: usize = usize::MAX;
    let mut beside = vec![Vec::new(); count];
    for &(from, to) in edges {
        beside[from].push(to);
        beside[to].push(from);
    }
    let (mut number, mut parts) = (vec![NONE; count], Vec::new());
    for first in 0..count {
        if number[first] != NONE {
            continue;
        }
        number[first] = parts.len();
        let mut open = vec![first];
        while let Some(at) = open.pop() {
            for &next in beside[at].iter() {
                if number[next] == NONE {
                    number[next] = parts.len();
                    open.push(next);
                }
            }
        }
        parts.push(Part::default());
    }
    (number, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_beside_each_other_and_below_where_there_is_no_room() {
        // Two chains, the nodes of which take turns, and a hundred steps by themselves.
        let layout = pack(&[100.0; 104], &[(0, 2), (1, 3)]);
        assert_eq!((layout.nodes[0].1, layout.nodes[2].1), (0, 1));
        assert_eq!((layout.nodes[1].1, layout.nodes[3].1), (0, 1));
        assert!(layout.nodes[1].0 - layout.nodes[0].0 >= 100.0 + GAP);
        assert_eq!(layout.edges[1], [layout.nodes[1], layout.nodes[3]]);
        assert!(layout.width <= WIDE);
        let mut taken: Vec<(usize, i64)> = layout.nodes.iter().map(|&(x, layer)| (layer, x as i64)).collect();
        taken.sort_unstable();
        for pair in taken.windows(2) {
            assert!(pair[0].0 != pair[1].0 || pair[1].1 - pair[0].1 >= 100, "{pair:?}");
        }
        assert_eq!(layout.layers, taken[taken.len() - 1].0 + 1);
    }

    #[test]
    fn what_is_connected_is_laid_out_as_one() {
        let edges = [(0, 1), (0, 2), (1, 3), (2, 3)];
        assert_eq!(pack(&[100.0; 4], &edges), layout(&[100.0; 4], &edges));
        assert_eq!(pack(&[], &[]), Layout::default());
    }
}
