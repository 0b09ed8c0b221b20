//! What the stand-in answers about skills.

use moorline_proto::v1::{self, skill_service_server::SkillService};
use tonic::{Request, Response, Status};

use super::Fake;
use crate::samples;

#[tonic::async_trait]
impl SkillService for Fake {
    async fn resolve_stages(&self, request: Request<v1::ResolveStagesRequest>) -> Result<Response<v1::ResolveStagesResponse>, Status> {
        self.answer(&request, |_| v1::ResolveStagesResponse {
            stages: samples::resolutions(),
            policy_version: 4,
        })
    }

    async fn get_skill_policy(&self, request: Request<v1::GetSkillPolicyRequest>) -> Result<Response<v1::GetSkillPolicyResponse>, Status> {
        self.answer(&request, |_| v1::GetSkillPolicyResponse {
            policy: Some(samples::policy(4)),
        })
    }

    async fn update_skill_policy(
        &self,
        request: Request<v1::UpdateSkillPolicyRequest>,
    ) -> Result<Response<v1::UpdateSkillPolicyResponse>, Status> {
        self.answer(&request, |_| v1::UpdateSkillPolicyResponse {
            policy: Some(samples::policy(5)),
        })
    }

    async fn list_skill_policies(
        &self,
        request: Request<v1::ListSkillPoliciesRequest>,
    ) -> Result<Response<v1::ListSkillPoliciesResponse>, Status> {
        self.answer(&request, |asked| v1::ListSkillPoliciesResponse {
            policies: (1..=4)
                .rev()
                .take(asked.page_size.unsigned_abs() as usize)
                .map(samples::policy)
                .collect(),
        })
    }

    async fn list_skills(&self, request: Request<v1::ListSkillsRequest>) -> Result<Response<v1::ListSkillsResponse>, Status> {
        self.answer(&request, |_| v1::ListSkillsResponse {
            skills: samples::fleet_skills(),
        })
    }
}
